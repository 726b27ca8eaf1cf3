package grpcapi

import (
	"encoding/binary"
	"time"

	"golang.org/x/net/http2"
)

// frames finds the frames of HTTP/2 in what passes in one direction of a connection
// (https://www.rfc-editor.org/rfc/rfc9113#section-4.1).
type frames struct {
	skip   int     // bytes until the next frame
	header [9]byte // of the last frame, once it is whole
	have   int     // bytes of the next header
}

// next finds the header of the next frame, and returns what follows it. whole is false if
// data ends before that.
func (f *frames) next(data []byte) (rest []byte, whole bool) {
	if f.skip >= len(data) {
		f.skip -= len(data)
		return nil, false
	}
	data = data[f.skip:]
	f.skip = 0
	n := copy(f.header[f.have:], data)
	f.have += n
	if f.have < len(f.header) {
		return nil, false
	}
	f.have = 0
	f.skip = int(binary.BigEndian.Uint32(f.header[:4]) >> 8)
	return data[n:], true
}

// stream returns the stream of the last frame.
func (f *frames) stream() uint32 { return binary.BigEndian.Uint32(f.header[5:]) &^ (1 << 31) }

// messages returns how many frames have come that hold a whole message of gRPC. A peer that
// lets a message through in small pieces can't have it count more than once. A message whose
// beginning data cuts in two does not count, which is rare.
func (f *frames) messages(data []byte) (n int64) {
	for {
		rest, whole := f.next(data)
		if !whole {
			return n
		}
		if http2.FrameType(f.header[3]) == http2.FrameData && f.skip >= leastData && len(rest) >= leastData &&
			int(binary.BigEndian.Uint32(rest[1:]))+leastData == f.skip {
			n++
		}
		data = rest
	}
}

// ages tells which calls of a connection have been under way for a while, without a note for
// each: their numbers rise.
type ages struct{ newest, old, older age }

// age says when the calls up to a number had begun.
type age struct {
	stream uint32
	at     time.Time
}

// opened notes the beginning of a call.
func (a *ages) opened(stream uint32, now time.Time) {
	if now.Sub(a.old.at) >= lasting {
		a.older, a.old = a.old, a.newest
	}
	a.newest = age{stream, now}
}

// lasted reports whether a call has been under way for lasting. It may say no for as long
// again.
func (a *ages) lasted(stream uint32, now time.Time) bool {
	for _, known := range []age{a.newest, a.old, a.older} {
		if stream <= known.stream && now.Sub(known.at) >= lasting {
			return true
		}
	}
	return false
}
