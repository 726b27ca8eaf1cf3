package web

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// cardsPerPage is how many raffles a page of the list has. One stream can follow them.
const cardsPerPage = 48

// tab is a part of the list.
type tab struct {
	name    string
	states  []string
	compare func(a, b *odds.Update) int
}

var tabs = []tab{
	{"open", []string{"OPEN"}, func(a, b *odds.Update) int { return soonest(a.ClosesAt, b.ClosesAt) }},
	{"soon", []string{"SCHEDULED"}, func(a, b *odds.Update) int { return soonest(a.OpensAt, b.OpensAt) }},
	{"ended", []string{"CLOSED", "DRAWN", "CANCELLED"}, func(a, b *odds.Update) int { return b.At.Compare(a.At) }},
}

// soonest orders times in milliseconds; 0, which is no time, comes last.
func soonest(a, b int64) int {
	never := func(at int64) int64 {
		if at == 0 {
			return math.MaxInt64
		}
		return at
	}
	return cmp.Compare(never(a), never(b))
}

// listView is a page of the list.
type listView struct {
	Show           string // the tab
	Cards          []*cardView
	Page, Pages    int64
	Previous, Next string // paths of other pages; empty if there is none
}

// Tabs returns the names of all tabs.
func (*listView) Tabs() []string { return []string{tabs[0].name, tabs[1].name, tabs[2].name} }

// cardView is a raffle on the list.
type cardView struct {
	*raffleView
	When string
}

// list answers with the list of raffles: ?show=open, soon or ended, and ?page=. Without
// show, and with one open raffle only, it redirects to that one.
func (s *site) list(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	show := max(0, slices.IndexFunc(tabs, func(t tab) bool { return t.name == query.Get("show") }))
	sorted, isMember, err := s.lists.sorted(s.source, r, show)
	if err != nil {
		return err
	}
	found := sorted.updates
	if len(found) == 1 && show == 0 && !query.Has("show") {
		w.Header().Set("Location", "/raffle/"+strconv.FormatInt(found[0].RaffleID, 10))
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusFound)
		return nil
	}
	t, view := textsOf(r), newListView(len(found), show, query.Get("page"))
	p := &page{
		T: t, Title: t.Get("listHeading." + view.Show), Description: t.Get("description"),
		Origin: s.source.Origin(r), Path: pathOf(view.Show, view.Page), Live: true, IsList: true, List: view,
	}
	body, err := s.shared(p, sorted.at, isMember, func() ([]byte, error) {
		now := time.Now()
		raffles, err := view.fill(t, found, now)
		if err != nil {
			return nil, err
		}
		p.Data = data{Lang: t.lang, Now: now.UTC().Format(odds.TimeFormat), List: raffles}
		return render(listPage, p), nil
	})
	if err != nil {
		return err
	}
	return write(w, r, body, isMember)
}

// newListView returns a page of a list of n raffles, without its cards. A page that does
// not exist is the nearest one.
func newListView(n, show int, page string) *listView {
	view := &listView{Show: tabs[show].name, Pages: int64(max(1, (n+cardsPerPage-1)/cardsPerPage))}
	view.Page, _ = strconv.ParseInt(page, 10, 64)
	view.Page = min(max(view.Page, 1), view.Pages)
	if view.Page > 1 {
		view.Previous = pathOf(view.Show, view.Page-1)
	}
	if view.Page < view.Pages {
		view.Next = pathOf(view.Show, view.Page+1)
	}
	return view
}

// fill adds the cards, and returns the odds on them as the API has them.
func (view *listView) fill(t *texts, found []*odds.Update, now time.Time) ([]json.RawMessage, error) {
	first := int(view.Page-1) * cardsPerPage
	raffles := []json.RawMessage{}
	for _, u := range found[first:min(first+cardsPerPage, len(found))] {
		v, err := t.viewOf(u, now)
		if err != nil {
			return nil, err
		}
		card := &cardView{raffleView: v, When: t.moment(v.raffle)}
		if v.CountKey != "" {
			card.When = t.Get(v.CountKey) + " " + v.Count
		}
		view.Cards = append(view.Cards, card)
		raffles = append(raffles, v.json)
	}
	return raffles, nil
}

func pathOf(show string, page int64) string {
	path := "/?show=" + show
	if page > 1 {
		path += "&page=" + strconv.FormatInt(page, 10)
	}
	return path
}

// lists keeps the sorted lists for a second, so that many visitors cost one sort. It is
// safe for concurrent use.
type lists struct {
	mu   sync.Mutex
	kept map[listKey]sortedList
}

type listKey struct {
	tab      int
	isMember bool
}

type sortedList struct {
	updates []*odds.Update
	at      time.Time
}

// sorted returns the raffles of a tab that the sender of r may see, in order.
func (l *lists) sorted(source Source, r *http.Request, show int) (list sortedList, isMember bool, err error) {
	isMember = source.IsMember(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	key := listKey{show, isMember}
	if kept, ok := l.kept[key]; ok && time.Since(kept.at) < time.Second {
		return kept, isMember, nil
	}
	updates, err := source.Raffles(isMember, tabs[show].states...)
	if err != nil {
		return sortedList{}, false, err
	}
	slices.SortStableFunc(updates, tabs[show].compare)
	if l.kept == nil {
		l.kept = map[listKey]sortedList{}
	}
	l.kept[key] = sortedList{updates, time.Now()}
	return l.kept[key], isMember, nil
}

// join joins the parts that are not empty.
func join(parts []string, separator string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), separator)
}
