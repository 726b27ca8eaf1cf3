package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// page is the answer of the list.
type page struct {
	Raffles       []struct{ ID int64 }
	NextPageToken *string
}

func (b *testBundle) list(query string) page {
	b.t.Helper()
	var p page
	status, text := b.body(http.MethodGet, "/api/v1/raffles"+query)
	if err := json.Unmarshal([]byte(text), &p); err != nil || status != 200 || p.NextPageToken == nil {
		b.t.Fatalf("%s: %d %q: %v", query, status, text, err)
	}
	return p
}

func TestList_ReturnsAllRafflesInPages(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		for id := int64(1); id <= 7; id++ {
			if id == 3 {
				b.publish(finalUpdate(id, 1))
			} else {
				b.publish(update(id, 1))
			}
		}
		var pages []string
		token := ""
		for range 10 {
			p := b.list("?state=OPEN&pageSize=3&pageToken=" + token)
			pages = append(pages, fmt.Sprint(p.Raffles))
			if token = *p.NextPageToken; token == "" {
				break
			}
		}
		if got, want := strings.Join(pages, " "), "[{1} {2} {4}] [{5} {6} {7}]"; got != want {
			b.t.Errorf("got %s, want %s", got, want)
		}
		status, text := b.body(http.MethodGet, "/api/v1/raffles?state=DRAWN")
		if status != 200 || text != `{"raffles":[],"nextPageToken":""}`+"\n" {
			b.t.Errorf("none: %d %q", status, text)
		}
	})
}

func TestList_BindsPageTokensToTheState(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		for id := range int64(3) {
			b.publish(update(id+1, 1))
		}
		token := *b.list("?state=OPEN&pageSize=1").NextPageToken
		if got := b.list("?state=OPEN&pageSize=2&pageToken=" + token).Raffles; fmt.Sprint(got) != "[{2} {3}]" {
			b.t.Errorf("with another page size: %v", got)
		}
		for _, query := range []string{
			"?pageToken=" + token,
			"?state=CLOSED&pageToken=" + token,
			"?state=OPEN&pageToken=" + token + "A",
			"?state=OPEN&pageToken=" + token[1:],
			"?state=OPEN&pageToken=A" + token[1:],
			"?state=OPEN&pageToken=MQ",
		} {
			got := b.refused(http.MethodGet, "/api/v1/raffles"+query, 400, "INVALID")
			if !strings.HasPrefix(got.message, "pageToken:") {
				b.t.Errorf("%s: %s", query, got.message)
			}
		}
	})
}

func TestPageToken_IsOpaque(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"", "OPEN", "CLOSED"} {
		tokens := make(map[byte]bool)
		for id := int64(1); id < 100; id++ {
			token := pageToken(state, id)
			if last, ok := parsePageToken(state, token); !ok || last != id {
				t.Errorf("%d in %q is read as %d, %t", id, state, last, ok)
			}
			tokens[token[len(token)/2]] = true
		}
		if len(tokens) < 20 { // tokens of neighbours have nothing in common
			t.Errorf("the tokens of %q look alike: %v", state, tokens)
		}
	}
}
