package e2e_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestNATSPermissions_AllowOnlyWhatServicesNeed(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for user, subjects := range map[string][]string{
		"gateway second": {
			"raffle.odds.1", "raffle.live.1", "$JS.API.STREAM.INFO.RAFFLE_ODDS", "$JS.API.STREAM.DELETE.RAFFLE_ODDS", "_INBOX.of.another",
		},
		"participation first": {"raffle.live.1", "$JS.API.STREAM.DELETE.RAFFLE_ODDS", "$JS.API.STREAM.PURGE.RAFFLE_ODDS", "$JS.API.STREAM.CREATE.OTHER"},
	} {
		name, password, _ := strings.Cut(user, " ")
		refused := make(chan error, len(subjects))
		nc := connectAs(t, c, name, password, func(err error) { refused <- err })
		for _, subject := range subjects {
			if err := nc.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
			awaitRefusal(t, refused, name+" publishes "+subject, subject)
		}
	}
	nc := connectAs(t, c, "gateway", "second", nil)
	// The gateway may send these requests, but nobody answers: they are not imported.
	for _, subject := range []string{"STREAM.DELETE.RAFFLE_ODDS", "STREAM.PURGE.RAFFLE_ODDS", "STREAM.UPDATE.RAFFLE_ODDS", "STREAM.MSG.DELETE.RAFFLE_ODDS", "STREAM.NAMES"} {
		if _, err := nc.Request(apiPrefix(t)+"."+subject, nil, 10*time.Second); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: %v", subject, err)
		}
	}
	for _, subject := range []string{">", "raffle.>", "$JS.>", "raffle.odds.*"} {
		refused := make(chan error, 1)
		nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		awaitRefusal(t, refused, "gateway subscribes to "+subject, subject)
	}
	for _, with := range []string{c.url("gateway", "first"), strings.ReplaceAll(c.url("gateway", "second"), "gateway:second@", "")} {
		if nc, err := nats.Connect(with, nats.RootCAs(c.ca)); err == nil {
			nc.Close()
			t.Errorf("%s can connect", with)
		}
	}
}

// NATS does not check that a client may publish to its own reply subject.
func TestNATSPermissions_KeepAnswersOutOfTheStream(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	js, err := jetstream.New(connectAs(t, c, "participation", "first", nil))
	if err != nil {
		t.Fatal(err)
	}
	var stream jetstream.Stream
	testenv.Eventually(t, "the cluster has a leader, and the stream is created", 20*time.Second, func() bool {
		stream, err = js.CreateStream(t.Context(), oddsstream.Config(3))
		return err == nil
	})
	nc := connectAs(t, c, "gateway", "second", nil)
	prefix := apiPrefix(t)
	ask := func(subject, reply string) {
		if err := nc.PublishRequest(subject, reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 40 {
		ask(prefix+".STREAM.INFO.RAFFLE_ODDS", oddsstream.Subject(1))
		ask(prefix+".DIRECT.GET.RAFFLE_ODDS", oddsstream.Subject(1))
		ask(prefix+".CONSUMER.DELETE.RAFFLE_ODDS.none", oddsstream.Subject(1))
	}
	// Once a later request is answered, so are all before it.
	if _, err := nc.Request(prefix+".STREAM.INFO.RAFFLE_ODDS", nil, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.LastSeq != 0 {
		t.Errorf("%d answers were stored: %v", info.State.LastSeq, err)
	}
}

// awaitRefusal waits until the server refuses what was just done with a subject.
func awaitRefusal(t *testing.T, refused <-chan error, what, subject string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case err := <-refused:
		if !strings.Contains(err.Error(), "Permissions Violation") || !strings.Contains(err.Error(), `"`+subject+`"`) {
			t.Errorf("%s: %v", what, err)
		}
	case <-ctx.Done():
		t.Errorf("%s: not refused within 10 s", what)
	}
}
