package raffle

import "testing"

func TestDatabaseIdentity_ContinuesOnlyWithoutLoss(t *testing.T) {
	t.Parallel()
	before := DatabaseIdentity{ID: "a", System: "1", Timeline: "2", Ticks: 7}
	for name, c := range map[string]struct {
		next DatabaseIdentity
		want bool
	}{
		"later":                  {DatabaseIdentity{"a", "1", "2", 8}, true},
		"another id":             {DatabaseIdentity{"b", "1", "2", 8}, false},
		"another cluster":        {DatabaseIdentity{"a", "3", "2", 8}, false},
		"after a failover":       {DatabaseIdentity{"a", "1", "3", 8}, false},
		"restored":               {DatabaseIdentity{"a", "1", "2", 6}, false},
		"restored to this state": {DatabaseIdentity{"a", "1", "2", 7}, false},
	} {
		if got := before.Continues(c.next); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		if !(DatabaseIdentity{}).Continues(c.next) {
			t.Errorf("%s does not continue nothing", name)
		}
	}
}
