package gateway

import (
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Config is all that the service can be told. Make one with DefaultConfig, or
// fill it from flags and environment variables with Register and RegisterPeers.
type Config struct {
	Address    string // browsers connect here, host:port
	OpsAddress string // health, metrics and profiles

	NATSURL          string // NATS servers, separated by commas
	ParticipationURL string // entries are forwarded there; empty: not taken here

	Spacing      time.Duration // between updates of one raffle to a client
	Heartbeat    time.Duration // silence before a heartbeat, ±20 %
	Lifetime     time.Duration // of a stream, ±20 %
	RetryMin     time.Duration // bounds of the wait that clients are told
	RetryMax     time.Duration
	WriteTimeout time.Duration // a client that takes nothing for so long is dropped
	DrainDelay   time.Duration // between "not ready" and the first closed stream
	DrainWindow  time.Duration // over which streams are closed

	Log *slog.Logger // where to log; nil: nowhere
	// Started, where set, is called once, when the service answers. Ready may
	// still be false.
	Started func(Addresses)

	section config.Section
}

// Addresses are where a running service listens.
type Addresses struct{ HTTP, Ops net.Addr }

// Service is the service's name, as in flags and environment variables.
const Service = "gateway"

// DefaultConfig returns the defaults; NATSURL is missing in it.
func DefaultConfig() Config {
	var c Config
	c.Register(config.NewSet(Service).Section(Service, false))
	return c
}

// Register adds every setting but where the other parts are to a section.
func (c *Config) Register(s config.Section) {
	c.section = s
	s.String(&c.Address, "address", "127.0.0.1:9998", "browsers connect to this host:port")
	s.String(&c.OpsAddress, "ops-address", "127.0.0.1:9999", "health, metrics and profiles are served on this host:port")
	s.Duration(&c.Spacing, "spacing", 50*time.Millisecond, "least time between two updates of a raffle; the last always goes out; 0s to 1m")
	s.Duration(&c.Heartbeat, "heartbeat", 15*time.Second, "silence before a heartbeat, give or take 20 %, 100ms to 10m")
	s.Duration(&c.Lifetime, "lifetime", 30*time.Minute, "life of a stream, give or take 20 %, 1s to 24h")
	s.Duration(&c.RetryMin, "retry-min", time.Second, "least wait that a client is told before it comes back, 0s to 1h")
	s.Duration(&c.RetryMax, "retry-max", 5*time.Second, "longest wait that a client is told, from the least one to 1h")
	s.Duration(&c.WriteTimeout, "write-timeout", 30*time.Second, "a client that takes nothing for so long is dropped, 1s to 10m")
	s.Duration(&c.DrainDelay, "drain-delay", 0, "at stop: time between \"not ready\" and the first closed stream, 0s to 10m")
	s.Duration(&c.DrainWindow, "drain-window", 20*time.Second, "at stop: time over which streams are closed, 0s to 1h")
}

// RegisterPeers adds where the other parts are, under their usual names.
func (c *Config) RegisterPeers(s *config.Set) {
	s.String(&c.NATSURL, "nats-url", "NATS_URL", "nats://127.0.0.1:4222", "NATS servers, separated by commas")
	s.String(&c.ParticipationURL, "participation-url", "PARTICIPATION_URL", "", "forward entries to the JSON facade at this http://host:port; without it they are not taken here")
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error {
	check := c.section.Checks()
	check.Address("address", c.Address)
	check.Address("ops-address", c.OpsAddress)
	check.DurationBetween("spacing", c.Spacing, 0, time.Minute)
	check.DurationBetween("heartbeat", c.Heartbeat, 100*time.Millisecond, 10*time.Minute)
	check.DurationBetween("lifetime", c.Lifetime, time.Second, 24*time.Hour)
	check.DurationBetween("retry-min", c.RetryMin, 0, time.Hour)
	check.DurationBetween("retry-max", c.RetryMax, max(0, c.RetryMin), time.Hour)
	check.DurationBetween("write-timeout", c.WriteTimeout, time.Second, 10*time.Minute)
	check.DurationBetween("drain-delay", c.DrainDelay, 0, 10*time.Minute)
	check.DurationBetween("drain-window", c.DrainWindow, 0, time.Hour)
	check.That(c.NATSURL != "", "nats-url", `""`, "set (NATS_URL)")
	_, err := c.participation()
	check.That(err == nil, "participation-url", c.ParticipationURL, "http://host:port or empty")
	return check.Err()
}

// participation returns where to forward entries, or nil.
func (c *Config) participation() (*url.URL, error) {
	if c.ParticipationURL == "" {
		return nil, nil //nolint:nilnil // nowhere is a place
	}
	u, err := url.Parse(c.ParticipationURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, &url.Error{Op: "parse", URL: c.ParticipationURL, Err: err}
	}
	return u, nil
}
