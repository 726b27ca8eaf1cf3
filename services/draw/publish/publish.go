// Package publish has what the publisher of a log needs beside package draw: to make the
// members' openings, to keep the tree in a database, and to prove that records are in it. Nobody who checks a draw needs
// to read it.
package publish

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rafflecast/rafflecast/services/draw"
)

// MarshalTree returns a tree as u64be size ‖ hashes, for a column of a database.
func MarshalTree(t *draw.Tree) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(t.Size))
	for _, h := range t.Peaks {
		b = append(b, h[:]...)
	}
	return b
}

// UnmarshalTree returns a tree that MarshalTree has written. It keeps no reference to b.
func UnmarshalTree(b []byte) (t draw.Tree, err error) {
	if len(b) < 8 {
		return t, fmt.Errorf("a tree has at least 8 bytes, not %d", len(b))
	}
	size := binary.BigEndian.Uint64(b)
	if want := 8 + tlog.HashSize*bits.OnesCount64(size); size > draw.MaxSize || len(b) != want {
		return t, fmt.Errorf("a tree of %d records does not have %d bytes", size, len(b))
	}
	t.Size = int64(size)
	for b = b[8:]; len(b) > 0; b = b[tlog.HashSize:] {
		t.Peaks = append(t.Peaks, draw.Hash(b[:tlog.HashSize]))
	}
	return t, nil
}

// Root returns the root of the tree over hashes. They are the leaf hashes of all records,
// or the roots of like subtrees of 2, 4, 8 … records, of which the last may have fewer:
// the result is the same.
func Root(hashes []draw.Hash) draw.Hash {
	var t draw.Tree
	for _, h := range hashes {
		t.Append(h)
	}
	return t.Root()
}

// Prove returns the proof of RFC 6962 (section 2.1.1) that the record at index is in the
// tree of the first size records. It asks subtree for the roots over some ranges of
// records, lo to hi-1: hi-lo is a power of two (or less, where hi is size), and lo is a
// multiple of it. So Root can answer from leaf hashes, or from the roots of pages.
func Prove(index, size int64, subtree func(lo, hi int64) (draw.Hash, error)) ([]draw.Hash, error) {
	if index < 0 || index >= size {
		return nil, fmt.Errorf("index %d is not in a tree of %d records", index, size)
	}
	var proof []draw.Hash
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
		proof = append([]draw.Hash{h}, proof...)
	}
	return proof, nil
}
