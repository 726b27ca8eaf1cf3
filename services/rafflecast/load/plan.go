package load

import (
	"encoding/binary"
	"encoding/hex"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// Plan says what each request asks for. Numbers go round the raffles; within
// each, round the members. Members' names and request ids are scattered, as
// those of real members are, so that neither index of the database is written
// in order. Immutable; safe for concurrent use.
type Plan struct {
	Raffles    []int64 // ids
	Members    int     // in each raffle; 0: another one for each request
	MaxEntries int     // of one member; only used where Members is 0
	Seed       uint64  // tells one run's requests and members from another's
}

// Request writes request number n into req, in place.
func (p *Plan) Request(n int64, req *rafflev1.EnterRequest) {
	raffle, member := p.target(n)
	id := p.RequestID(n)
	req.RaffleId, req.MemberId, req.RequestId = p.Raffles[raffle], p.MemberID(member), textOf(id)
}

// target returns the index of the raffle and the number of the member that
// request n is for.
func (p *Plan) target(n int64) (raffle int, member int64) {
	raffles := int64(len(p.Raffles))
	turn := n / raffles
	if p.Members > 0 {
		return int(n % raffles), turn % int64(p.Members)
	}
	return int(n % raffles), turn / int64(max(1, p.MaxEntries))
}

// MemberID returns the name of member number m: 16 hexadecimal digits.
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

// Number returns the number of the request with this id, and false where the id
// is of no request of this plan.
func (p *Plan) Number(id [16]byte) (int64, bool) {
	n := int64(binary.BigEndian.Uint64(id[8:]) & (1<<48 - 1))
	return n, p.RequestID(n) == id
}

// chance tells whether request n is among the share, in percent, that is chosen
// for what.
func (p *Plan) chance(n int64, what uint64, percent int) bool {
	return percent > 0 && mix(uint64(n)^p.Seed+what)%100 < uint64(percent)
}

// mix scatters numbers over all of 64 bits, no two to the same place: the
// finalizer of SplitMix64 (https://prng.di.unimi.it/splitmix64.c).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// textOf writes an id as text.
func textOf(id [16]byte) string {
	var text [36]byte
	hex.Encode(text[0:], id[0:4])
	hex.Encode(text[9:], id[4:6])
	hex.Encode(text[14:], id[6:8])
	hex.Encode(text[19:], id[8:10])
	hex.Encode(text[24:], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
