package load

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/google/uuid"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// Plan derives each request from its number. Consecutive requests enter one raffle
// after another; within a raffle, one member after another. Members' ids and request
// ids look random, as those of real members do, so that no index of the database is
// written in order. Immutable, so safe for concurrent use.
type Plan struct {
	Raffles    []int64 // ids
	Members    int     // in each raffle; 0: so many that nobody is refused
	MaxEntries int     // per member; used only if Members is 0
	Seed       uint64  // distinguishes the requests and members of one run from another's
}

// Request overwrites req with request n.
func (p *Plan) Request(n int64, req *rafflev1.EnterRequest) {
	raffle, member := p.target(n)
	req.RaffleId, req.MemberId, req.RequestId = p.Raffles[raffle], p.MemberID(member), uuid.UUID(p.RequestID(n)).String()
}

// target returns the index of the raffle and the number of the member that
// request n is for.
func (p *Plan) target(n int64) (raffle int, member int64) {
	raffles := int64(len(p.Raffles))
	within := n / raffles // the number within its raffle
	if p.Members > 0 {
		return int(n % raffles), within % int64(p.Members)
	}
	return int(n % raffles), within / int64(max(1, p.MaxEntries))
}

// MemberID returns the id of member m, 16 hexadecimal digits.
func (p *Plan) MemberID(m int64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], mix(uint64(m)+p.Seed))
	var text [16]byte
	hex.Encode(text[:], b[:])
	return string(text[:])
}

// RequestID returns the id of request n, a UUID of version 8 (RFC 9562): 62
// bits that depend on the run and n, then the number itself in 48 bits.
func (p *Plan) RequestID(n int64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[0:], mix(uint64(n)^p.Seed))
	binary.BigEndian.PutUint64(id[8:], p.Seed<<48|uint64(n)&(1<<48-1))
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Number returns the number of the request with an id, and whether the id belongs
// to a request of this plan.
func (p *Plan) Number(id [16]byte) (int64, bool) {
	n := int64(binary.BigEndian.Uint64(id[8:]) & (1<<48 - 1))
	return n, p.RequestID(n) == id
}

// The purposes for which requests are selected.
const (
	forRepeat uint64 = iota + 1 // to be sent twice at once
	forCancel                   // to be sent again before their answer
)

// selects reports whether request n belongs to the percentage of requests that is
// selected for a purpose.
func (p *Plan) selects(n int64, purpose uint64, percent int) bool {
	return percent > 0 && mix(uint64(n)^p.Seed+purpose)%100 < uint64(percent)
}

// mix is a bijection of 64-bit numbers that makes consecutive ones look random: the
// finalizer of SplitMix64 (https://prng.di.unimi.it/splitmix64.c).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
