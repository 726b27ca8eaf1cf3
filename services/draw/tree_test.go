package draw

import (
	"crypto/sha256"
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
		tree.Append(leaves[n])
	}
}
