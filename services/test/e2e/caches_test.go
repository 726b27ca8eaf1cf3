package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/test/drawtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// setupDrawn starts the services, and draws a raffle for everybody and one for members, whose
// logs have more records than a page, which caches may keep for ever.
func setupDrawn(t *testing.T) *securedBundle {
	t.Helper()
	d := drawtest.Start(t)
	b := setupSecuredWith(t, []string{
		"PARTICIPATION_DRAW_KEY=" + d.KeyFile, "PARTICIPATION_DRAW_CHAINS=" + d.ChainFile, "PARTICIPATION_DRAW_RELAYS=" + d.Relay,
	}, nil, &rafflev1.Draw{Delay: durationpb.New(10 * time.Second)})
	for _, id := range []int64{b.public, b.forMembers} {
		stream, err := b.client.entries.EnterStream(b.as(t, "backend"))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for i := range int64(logfile.PageSize) {
				// If the stream fails, receiving says why.
				_ = stream.Send(&rafflev1.EnterStreamRequest{CorrelationId: i, Enter: &rafflev1.EnterRequest{RaffleId: id, MemberId: fmt.Sprint("member-", i)}})
			}
			_ = stream.CloseSend()
		}()
		for range logfile.PageSize {
			if resp, err := stream.Recv(); err != nil || resp.GetEntered() == nil {
				t.Fatalf("%v, %v", resp, err)
			}
		}
		if _, err := b.client.raffles.CloseRaffle(b.as(t, "operator"), &rafflev1.CloseRaffleRequest{RaffleId: id}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []int64{b.public, b.forMembers} {
		testenv.Eventually(t, "the gateway shows the draw", time.Minute, func() bool {
			got := ask(t, http.MethodGet, fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, id), "", b.bearer()...)
			return strings.Contains(got.body, `"state":"DRAWN"`)
		})
	}
	return b
}

// isShared reports whether a shared cache may keep an answer. Many keep what has to be
// revalidated, and some give it to those who have asked meanwhile.
func isShared(a answer) bool {
	control := strings.Join(a.header.Values("Cache-Control"), ",")
	return !strings.Contains(control, "private") && !strings.Contains(control, "no-store")
}

func varies(a answer, by string) bool {
	return strings.Contains(strings.ToLower(strings.Join(a.header.Values("Vary"), ",")), strings.ToLower(by))
}

// No shared cache may give somebody the answer that a member got, and none may give a member
// the answer to somebody else.
func TestCaches_KeepNothingThatIsForMembers(t *testing.T) {
	t.Parallel()
	b := setupDrawn(t)
	const forAll, forMembers, forEach = "everybody", "members", "each its own"
	urls := map[string]string{
		"/": forEach, "/?show=ended": forEach, "/?show=open": forEach, "/?show=ended&lang=ko": forEach,
		"/api/v1/raffles": forEach, "/api/v1/raffles?state=DRAWN&pageSize=1": forEach, "/api/v1/session": forEach,
		"/api/v1/raffles/subscribe?id=%d&id=" + fmt.Sprint(b.public): forMembers,
	}
	for _, path := range []string{
		"/raffle/%d", "/raffle/%d?stage", "/raffle/%d?lang=ko", "/api/v1/raffle/%d/odds", "/api/v1/raffles/%d/odds", "/api/v1/raffles/%d/odds?wait=1s",
		"/api/v1/raffles/%d/subscribe", "/api/v1/raffle/%d/subscribe", "/api/v1/raffles/%d/draw", "/api/v1/raffles/%d/winners",
		"/api/v1/raffles/%d/winners?pageSize=1", "/api/v1/raffles/%d/tickets/1", "/api/v1/raffles/%d/tickets/99999", "/api/v1/raffles/%d/tickets/x",
		"/api/v1/raffles/%d/checkpoint", "/api/v1/raffles/%d/log", "/api/v1/raffles/%d/log?from=4096", "/api/v1/raffles/%d/log?from=1",
	} {
		urls[path] = forMembers
	}
	bases := map[string]func(path string) bool{
		b.web: func(string) bool { return true },
		"http://" + b.facade: func(path string) bool { // it has neither pages nor streams of odds, and reads no cookies
			return strings.HasPrefix(path, "/api/v1/raffles/%d/") && !strings.Contains(path, "odds") && !strings.Contains(path, "subscribe")
		},
	}
	for base, serves := range bases {
		for path, who := range urls {
			if !serves(path) {
				continue
			}
			for id, who := range map[int64]string{b.public: strings.Replace(who, forMembers, forAll, 1), b.forMembers: who} {
				url := base + path
				if strings.Contains(path, "%d") {
					url = base + fmt.Sprintf(path, id)
				}
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					anybodys := ask(t, method, url, "")
					if who == forMembers && (anybodys.status < 400 || isShared(anybodys) || strings.Contains(anybodys.body, "Raffle for")) {
						t.Errorf("%s %s for everybody: %d %v", method, url, anybodys.status, anybodys.header)
					}
					for _, header := range [][]string{b.bearer(), b.cookie(), append(b.bearer(), b.cookie()...), append(b.bearer(), "If-None-Match", "*")} {
						members := ask(t, method, url, "", header...)
						if who != forAll && isShared(members) {
							t.Errorf("%s %s for a member by %s may be kept: %d %v", method, url, header[0], members.status, members.header)
						}
						if who == forEach && isShared(anybodys) && (!varies(anybodys, "Cookie") || !varies(anybodys, "Authorization")) {
							t.Errorf("%s %s for everybody may be given to members: %v", method, url, anybodys.header)
						}
					}
				}
			}
		}
	}
	// What everybody may read, and never changes, may be kept, if nobody's token was needed.
	if got := ask(t, http.MethodGet, fmt.Sprintf("%s/api/v1/raffles/%d/log", b.web, b.public), "", b.cookie()...); !isShared(got) ||
		!strings.Contains(got.header.Get("Cache-Control"), "immutable") {
		t.Errorf("the log for everybody: %d %v", got.status, got.header)
	}
}
