package access

import (
	"crypto/sha256"
	"sync"
)

// maxRemembered is how many verified tokens are remembered, some 300 bytes each.
const maxRemembered = 20_000

// memory remembers verified tokens by their hashes. When the younger half is full, the
// older half is forgotten; what is used again becomes young.
type memory struct {
	half int

	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]verified
}

// verified is the identity in a token that was verified with a set of keys.
type verified struct {
	who  *Identity
	with *keySet
}

func newMemory(limit int) *memory {
	return &memory{half: limit / 2, young: map[[sha256.Size]byte]verified{}}
}

// get returns the identity of a token that was verified with these keys.
func (m *memory) get(hash [sha256.Size]byte, with *keySet) (*Identity, bool) {
	m.mu.RLock()
	v, isYoung := m.young[hash]
	if !isYoung {
		v = m.old[hash]
	}
	m.mu.RUnlock()
	if v.who == nil || v.with != with {
		return nil, false
	}
	if !isYoung {
		m.put(hash, with, v.who)
	}
	return v.who, true
}

func (m *memory) put(hash [sha256.Size]byte, with *keySet, who *Identity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.young[hash]; !ok && len(m.young) >= m.half {
		m.old, m.young = m.young, make(map[[sha256.Size]byte]verified, m.half)
	}
	m.young[hash] = verified{who, with}
}
