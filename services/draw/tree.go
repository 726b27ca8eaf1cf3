package draw

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

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
	size  int64
	peaks []Hash // one for each bit of size, the largest subtree first
}

// Size returns the number of records.
func (t *Tree) Size() int64 { return t.size }

// Append appends a record by its LeafHash.
func (t *Tree) Append(leaf Hash) {
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.peaks) - 1
		leaf = tlog.NodeHash(t.peaks[last], leaf)
		t.peaks = t.peaks[:last]
	}
	t.peaks = append(t.peaks, leaf)
	t.size++
}

// Root returns the tree's root.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	last := len(t.peaks) - 1
	root := t.peaks[last]
	for i := last - 1; i >= 0; i-- {
		root = tlog.NodeHash(t.peaks[i], root)
	}
	return root
}

// MarshalBinary returns the tree as u64be size ‖ hashes, for a column of a database.
func (t *Tree) MarshalBinary() ([]byte, error) {
	b := binary.BigEndian.AppendUint64(nil, uint64(t.size))
	for _, h := range t.peaks {
		b = append(b, h[:]...)
	}
	return b, nil
}

// UnmarshalBinary replaces the tree by one that MarshalBinary returned. It keeps no
// reference to b.
func (t *Tree) UnmarshalBinary(b []byte) error {
	if len(b) < 8 {
		return fmt.Errorf("a tree has at least 8 bytes, not %d", len(b))
	}
	size := binary.BigEndian.Uint64(b)
	if want := 8 + tlog.HashSize*bits.OnesCount64(size); size > MaxSize || len(b) != want {
		return fmt.Errorf("a tree of %d records does not have %d bytes", size, len(b))
	}
	t.size, t.peaks = int64(size), nil
	for b = b[8:]; len(b) > 0; b = b[tlog.HashSize:] {
		t.peaks = append(t.peaks, Hash(b[:tlog.HashSize]))
	}
	return nil
}

// Root returns the root of the tree over hashes. They are the leaf hashes of all records,
// or the roots of like subtrees of 2, 4, 8 … records, of which the last may have fewer:
// the result is the same.
func Root(hashes []Hash) Hash {
	var t Tree
	for _, h := range hashes {
		t.Append(h)
	}
	return t.Root()
}

// Prove returns the proof of RFC 6962 (section 2.1.1) that the record at index is in the
// tree of the first size records. It asks subtree for the roots over some ranges of
// records, lo to hi-1: hi-lo is a power of two (or less, where hi is size), and lo is a
// multiple of it. So Root can answer from leaf hashes, or from the roots of pages.
func Prove(index, size int64, subtree func(lo, hi int64) (Hash, error)) ([]Hash, error) {
	if index < 0 || index >= size {
		return nil, fmt.Errorf("index %d is not in a tree of %d records", index, size)
	}
	var proof []Hash
	for lo, hi := int64(0), size; hi-lo > 1; {
		middle := lo + 1<<(bits.Len64(uint64(hi-lo-1))-1)
		from, to := middle, hi
		if index < middle {
			hi = middle
		} else {
			from, to, lo = lo, middle, middle
		}
		h, err := subtree(from, to)
		if err != nil {
			return nil, err
		}
		proof = append([]Hash{h}, proof...)
	}
	return proof, nil
}
