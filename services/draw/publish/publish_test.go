package publish_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/publish"
)

func someLeaves(n int) (leaves []draw.Hash) {
	for i := range n {
		leaves = append(leaves, draw.LeafHash(fmt.Append(nil, i)))
	}
	return leaves
}

func TestUnmarshalTree_ReturnsTheSameTree(t *testing.T) {
	t.Parallel()
	var tree draw.Tree
	for _, leaf := range someLeaves(70) {
		again, err := publish.UnmarshalTree(publish.MarshalTree(&tree))
		if err != nil {
			t.Fatal(err)
		}
		tree.Append(leaf)
		again.Append(leaf)
		if again.Size != tree.Size || again.Root() != tree.Root() {
			t.Errorf("the copy of the tree of %d records goes on otherwise", tree.Size)
		}
	}
}

// The opening of alice is that of the test vectors, however often and by however many it
// is asked for.
func TestOpenings_AreTheVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../testdata/vector.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ RaffleKeyHex, AliceOpeningHex string }
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString(v.RaffleKeyHex)
	if err != nil || len(key) == 0 {
		t.Fatalf("key %q: %v", v.RaffleKeyHex, err)
	}
	openings := publish.NewOpenings(key)
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for range 100 {
				other, alice := openings.Of("bob"), openings.Of("alice")
				if hex.EncodeToString(alice[:]) != v.AliceOpeningHex || other == alice {
					t.Errorf("alice has %x, bob has %x", alice, other)
					return
				}
			}
		})
	}
	asking.Wait()
}

// Proofs are the same from leaf hashes and from the roots of pages.
func TestProve_ProvesEachRecord(t *testing.T) {
	t.Parallel()
	const page = 8
	leaves := someLeaves(70)
	for size := 1; size <= len(leaves); size++ {
		root := publish.Root(leaves[:size])
		var pages []draw.Hash
		for from := 0; from < size; from += page {
			pages = append(pages, publish.Root(leaves[from:min(from+page, size)]))
		}
		if publish.Root(pages) != root {
			t.Errorf("the roots of the pages of %d records lead to another root", size)
		}
		for index := range size {
			proof, err := publish.Prove(int64(index), int64(size), func(lo, hi int64) (draw.Hash, error) {
				if hi-lo <= page {
					return publish.Root(leaves[lo:hi]), nil
				}
				if lo%page != 0 {
					t.Fatalf("%d to %d do not begin with a page", lo, hi)
				}
				return publish.Root(pages[lo/page : (hi+page-1)/page]), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(proof, int64(size), root, int64(index), leaves[index]); err != nil {
				t.Errorf("record %d of %d: %v", index, size, err)
			}
		}
	}
}

func TestProve_Fails(t *testing.T) {
	t.Parallel()
	failure := errors.New("failure")
	subtree := func(int64, int64) (draw.Hash, error) { return draw.Hash{}, failure }
	for _, index := range []int64{-1, 5, 6} {
		if _, err := publish.Prove(index, 5, subtree); err == nil || errors.Is(err, failure) {
			t.Errorf("index %d of 5: %v", index, err)
		}
	}
	if _, err := publish.Prove(1, 5, subtree); !errors.Is(err, failure) {
		t.Errorf("got %v, want the caller's error", err)
	}
}

func FuzzUnmarshalTree(f *testing.F) {
	var tree draw.Tree
	for _, leaf := range someLeaves(20) {
		tree.Append(leaf)
		f.Add(publish.MarshalTree(&tree))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := publish.UnmarshalTree(b)
		if err != nil {
			return
		}
		if again := publish.MarshalTree(&tree); !bytes.Equal(again, b) {
			t.Errorf("%x becomes %x", b, again)
		}
		tree.Append(draw.Hash{})
		tree.Root()
	})
}
