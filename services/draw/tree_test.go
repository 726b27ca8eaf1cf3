package draw

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// reference is the definition of RFC 6962, section 2.1.
func reference(leaves []Hash) Hash {
	if len(leaves) == 0 {
		return sha256.Sum256(nil)
	}
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	return tlog.NodeHash(reference(leaves[:k]), reference(leaves[k:]))
}

func someLeaves(n int) (leaves []Hash) {
	for i := range n {
		leaves = append(leaves, LeafHash(fmt.Append(nil, i)))
	}
	return leaves
}

func TestTree_HasTheRootsOfTheRFC(t *testing.T) {
	t.Parallel()
	leaves := someLeaves(70)
	var tree Tree
	for n := range len(leaves) {
		want(t, fmt.Sprintf("root of %d", n), tree.Root(), reference(leaves[:n]))
		b, err := tree.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var again Tree
		if err := again.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		again.Append(leaves[n])
		tree.Append(leaves[n])
		want(t, "root of the copy", again.Root(), tree.Root())
	}
}

// Proofs are the same from leaf hashes and from the roots of pages.
func TestProve_ProvesEachRecord(t *testing.T) {
	t.Parallel()
	const page = 8
	leaves := someLeaves(70)
	for size := 1; size <= len(leaves); size++ {
		root := Root(leaves[:size])
		var pages []Hash
		for from := 0; from < size; from += page {
			pages = append(pages, Root(leaves[from:min(from+page, size)]))
		}
		want(t, "root of pages", Root(pages), root)
		for index := range size {
			proof, err := Prove(int64(index), int64(size), func(lo, hi int64) (Hash, error) {
				if hi-lo <= page {
					return Root(leaves[lo:hi]), nil
				}
				if lo%page != 0 {
					t.Fatalf("%d to %d do not begin with a page", lo, hi)
				}
				return Root(pages[lo/page : (hi+page-1)/page]), nil
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
	subtree := func(int64, int64) (Hash, error) { return Hash{}, failure }
	for _, index := range []int64{-1, 5, 6} {
		if _, err := Prove(index, 5, subtree); err == nil || errors.Is(err, failure) {
			t.Errorf("index %d of 5: %v", index, err)
		}
	}
	if _, err := Prove(1, 5, subtree); !errors.Is(err, failure) {
		t.Errorf("got %v, want the caller's error", err)
	}
}
