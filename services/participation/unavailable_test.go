package participation_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// When the machine of PostgreSQL vanishes, a call that waits for it is told to try again
// before its connection has timed out, and those that follow are at once. A test in grpcapi
// has every call, and one in httpapi every path.
func TestRun_DoesNotWaitForADatabaseThatHasVanished(t *testing.T) {
	t.Parallel()
	database := newLink(t)
	database.open(t)
	b := prepare(t)
	b.cfg.DatabaseURL = database.url + "&connect_timeout=30"
	b.start(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})

	calls := map[string]func(context.Context) error{
		"GetRaffle": func(ctx context.Context) error {
			_, err := b.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: 1})
			return err
		},
		"CreateRaffle": func(ctx context.Context) error {
			_, err := b.raffles.CreateRaffle(ctx, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
			return err
		},
		"Withdraw": func(ctx context.Context) error {
			_, err := b.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 1, MemberId: "m"})
			return err
		},
		"Enter": func(ctx context.Context) error {
			_, err := b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "m"})
			return err
		},
	}
	const atOnce = 15 * time.Second // half of what it takes to give up a connection
	resume := database.mute(t)
	ended := make(chan error)
	for _, call := range calls {
		go func() { ended <- call(t.Context()) }()
	}
	for range calls {
		wantLocked(t, testenv.Receive(t, "the end of a call under way", 25*time.Second, ended))
	}
	for name, call := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), atOnce)
		err := call(ctx)
		cancel()
		if status.Code(err) == codes.DeadlineExceeded {
			t.Errorf("%s waits for the database", name)
			continue
		}
		wantLocked(t, err)
	}
	for _, request := range []string{"GET /api/v1/raffles/1", "POST /api/v1/raffles/1/entries?memberId=m", "POST /api/v1/raffles/1:close"} {
		method, path, _ := strings.Cut(request, " ")
		ctx, cancel := context.WithTimeout(t.Context(), atOnce)
		code, header, body := b.http(ctx, t, method, path)
		cancel()
		if code != http.StatusServiceUnavailable || header.Get("Retry-After") != "1" || !strings.Contains(body, "STORE_UNAVAILABLE") {
			t.Errorf("%s: %d %v %s", request, code, header, body)
		}
	}

	resume()
	testenv.Eventually(t, "all calls are served again", 20*time.Second, func() bool {
		for _, name := range []string{"GetRaffle", "CreateRaffle", "Enter"} {
			if err := calls[name](t.Context()); err != nil && status.Code(err) != codes.FailedPrecondition {
				return false
			}
		}
		return true
	})
}

// http makes a request of the facade.
func (b *bundle) http(ctx context.Context, t *testing.T, method, path string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+b.at.HTTP.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return 0, nil, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}
