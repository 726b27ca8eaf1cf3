package draw

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a hash of the tree: SHA-256(0x00 ‖ record) of a record (LeafHash), and
// SHA-256(0x01 ‖ left ‖ right) of a node.
type Hash = tlog.Hash

// LeafHash returns the hash of a record. It allocates nothing for the record of an entry.
func LeafHash(record []byte) Hash {
	var buf [64]byte
	return sha256.Sum256(append(buf[:1], record...))
}

// Tree is the Merkle tree of RFC 6962 (section 2.1) over the records of a log. It holds
// only the roots of the complete subtrees, at most 64 hashes. The zero value is the
// empty tree. It is not safe for concurrent use.
type Tree struct {
	Size  int64
	Peaks []Hash // one for each bit of Size, the largest subtree first
}

// Append appends a record by its LeafHash.
func (t *Tree) Append(leaf Hash) {
	for n := t.Size; n&1 == 1; n >>= 1 {
		last := len(t.Peaks) - 1
		leaf = tlog.NodeHash(t.Peaks[last], leaf)
		t.Peaks = t.Peaks[:last]
	}
	t.Peaks = append(t.Peaks, leaf)
	t.Size++
}

// Root returns the tree's root.
func (t *Tree) Root() Hash {
	if t.Size == 0 {
		return sha256.Sum256(nil)
	}
	last := len(t.Peaks) - 1
	root := t.Peaks[last]
	for i := last - 1; i >= 0; i-- {
		root = tlog.NodeHash(t.Peaks[i], root)
	}
	return root
}
