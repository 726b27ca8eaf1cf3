package localnats

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestServer_RefusesClientsWithoutTheToken(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if _, err := nats.Connect("nats://" + s.server.Addr().String()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without the token: %v", err)
	}
	s.Stop()
	s.Stop() // is idempotent
}
