package draw

import "hash/maphash"

// MaxSize is the largest number of records of a log that can be drawn.
const MaxSize = 1 << 30

// member is what the log says about who has a tag.
type member struct {
	tag   Tag
	live  uint16 // entries that are not withdrawn, at most MaxEntriesPerMember
	drawn bool
}

// members numbers members from 0 in the order of their first entries. It takes 40 to 45
// bytes for each, where a map would take 60 to 90. The hashes are seeded, so that
// nobody can choose tags whose hashes collide.
type members struct {
	seed  maphash.Seed
	slots []uint32   // number+1 by hash, or 0; their number is a power of two
	list  [][]member // in parts of membersPart, so that growing copies nothing
	count uint32
}

const membersPart = 1 << 12

func (m *members) get(number uint32) *member {
	return &m.list[number/membersPart][number%membersPart]
}

// number returns the number of the member with a tag, which may be new.
func (m *members) number(tag Tag) uint32 {
	if int(m.count) >= len(m.slots)/4*3 {
		m.grow()
	}
	slot := m.slot(tag)
	if *slot == 0 {
		if m.count%membersPart == 0 {
			m.list = append(m.list, make([]member, membersPart))
		}
		m.get(m.count).tag = tag
		m.count++
		*slot = m.count
	}
	return *slot - 1
}

// slot returns the slot of a tag, which is 0 if the tag is new.
func (m *members) slot(tag Tag) *uint32 {
	mask := uint64(len(m.slots) - 1)
	for h := maphash.Bytes(m.seed, tag[:]); ; h++ {
		slot := &m.slots[h&mask]
		if *slot == 0 || m.get(*slot-1).tag == tag {
			return slot
		}
	}
}

func (m *members) grow() {
	if m.slots == nil {
		m.seed = maphash.MakeSeed()
	}
	m.slots = make([]uint32, max(64, 2*len(m.slots)))
	for number := range m.count {
		*m.slot(m.get(number).tag) = number + 1
	}
}
