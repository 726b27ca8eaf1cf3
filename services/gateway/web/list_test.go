package web_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// listed returns odds for a list.
func listed(id int64, state string, change func(*odds.Update)) *odds.Update {
	u := &odds.Update{RaffleID: id, State: state, At: time.UnixMilli(id)}
	u.JSON = fmt.Appendf(nil, `{"id":%d,"epoch":"a","version":1,"state":%q,"title":"Raffle %d","entries":5,"members":5,"winners":1,"maxEntriesPerMember":1}`,
		id, state, id)
	change(u)
	return u
}

// idsOn returns the ids of the raffles on a page of a list, in order.
func idsOn(t *testing.T, from *source, target string) string {
	t.Helper()
	answer := getFrom(t, from, http.MethodGet, target, nil)
	wantStatus(t, answer, http.StatusOK)
	var ids []string
	for _, found := range regexp.MustCompile(`<li data-id="([0-9]+)"`).FindAllStringSubmatch(answer.Body.String(), -1) {
		ids = append(ids, found[1])
	}
	return strings.Join(ids, " ")
}

func TestList_HasTabsInTheOrderOfTheirTimes(t *testing.T) {
	t.Parallel()
	plain := func(*odds.Update) {}
	from := &source{list: []*odds.Update{
		listed(1, "OPEN", plain), // without a closing time
		listed(2, "OPEN", func(u *odds.Update) { u.ClosesAt = 300 }),
		listed(3, "OPEN", func(u *odds.Update) { u.ClosesAt = 200 }),
		listed(4, "SCHEDULED", func(u *odds.Update) { u.OpensAt = 900 }),
		listed(5, "SCHEDULED", func(u *odds.Update) { u.OpensAt = 800 }),
		listed(6, "CLOSED", plain), listed(7, "DRAWN", plain), listed(8, "CANCELLED", plain),
	}}
	for target, want := range map[string]string{
		"/": "3 2 1", "/?show=open": "3 2 1", "/?show=soon": "5 4", "/?show=ended": "8 7 6", "/?show=nothing": "3 2 1",
	} {
		if got := idsOn(t, from, target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestList_HasAllPages(t *testing.T) {
	t.Parallel()
	from := &source{}
	for id := range int64(100) {
		from.list = append(from.list, listed(id+1, "OPEN", func(u *odds.Update) { u.ClosesAt = id + 1 }))
	}
	seen := map[string]int{}
	for page := 1; page <= 3; page++ {
		for id := range strings.FieldsSeq(idsOn(t, from, fmt.Sprintf("/?show=open&page=%d", page))) {
			seen[id]++
		}
	}
	if len(seen) != 100 || seen["1"] != 1 {
		t.Errorf("%d raffles on three pages: %v", len(seen), seen)
	}
	second := getFrom(t, from, http.MethodGet, "/?show=open&page=2", nil).Body.String()
	for _, want := range []string{"Page 2 of 3", `rel="prev" href="/?show=open"`, `rel="next" href="/?show=open&amp;page=3"`} {
		if !strings.Contains(second, want) {
			t.Errorf("the second page lacks %s", want)
		}
	}
	for target, want := range map[string]string{"/?show=open&page=99": "97 98 99 100", "/?show=open&page=-1": "1 2"} {
		if got := idsOn(t, from, target); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s …", target, got, want)
		}
	}
}

func TestList_LeadsToTheOnlyOpenRaffle(t *testing.T) {
	t.Parallel()
	from := &source{list: []*odds.Update{listed(7, "OPEN", func(*odds.Update) {}), listed(8, "DRAWN", func(*odds.Update) {})}}
	answer := getFrom(t, from, http.MethodGet, "/", nil)
	wantStatus(t, answer, http.StatusFound)
	wantHeader(t, answer, "Location", "/raffle/7")
	if got := idsOn(t, from, "/?show=open"); got != "7" {
		t.Errorf("the list itself: %s", got)
	}
}

func TestList_OfMembersIsPrivate(t *testing.T) {
	t.Parallel()
	from := &source{isMember: true}
	wantHeader(t, getFrom(t, from, http.MethodGet, "/?show=open", nil), "Cache-Control", "private, no-store")
}
