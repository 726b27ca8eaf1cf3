package access

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

func TestMemory_IsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	m, keys, who := newMemory(100), &keySet{}, &Identity{}
	hash := func(i int) [sha256.Size]byte { return sha256.Sum256(fmt.Append(nil, i)) }
	m.put(hash(0), keys, who)
	for i := range 10_000 {
		m.put(hash(i+1), keys, who)
		if _, ok := m.get(hash(0), keys); !ok {
			t.Fatalf("forgotten after %d others, although it is used", i)
		}
		if n := len(m.young) + len(m.old); n > 100 {
			t.Fatalf("%d are remembered", n)
		}
	}
	if _, ok := m.get(hash(1), keys); ok {
		t.Error("the first is remembered although it was not used again")
	}
	if _, ok := m.get(hash(0), &keySet{}); ok {
		t.Error("remembered for other keys")
	}
}
