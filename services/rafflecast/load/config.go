package load

import (
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// The ways to enter.
const (
	Unary  = "unary"
	Stream = "stream"
	HTTP   = "http"
)

// Config is all that can be told. Fill it from flags and environment variables
// with Register.
type Config struct {
	Target      string        // the service's gRPC address, host:port or dns:///host:port
	DatabaseURL string        // what to verify against; empty: no verification
	Mode        string        // Unary, Stream or HTTP
	Facade      string        // with HTTP: the URL of the JSON facade
	Connections int           // gRPC connections that the calls are spread over
	Concurrency int           // requests in flight at most
	Rate        int           // requests per second; 0: as fast as answers come
	Count       int           // requests to send; 0: no bound
	Duration    time.Duration // for how long to send; 0: no bound
	UntilClosed bool          // stop once the service says that a raffle is not open

	Raffles     int           // raffles to make
	MaxEntries  int           // entries that a member may have in each
	Members     int           // members in each; 0: enough that nobody is refused
	ClosesAfter time.Duration // the raffles close after so long; 0: never

	RepeatPercent int           // requests that are sent twice at once
	GiveUpPercent int           // requests given up early and sent again
	GiveUpAfter   time.Duration // how early
	Timeout       time.Duration // for one attempt of a call
	Retries       int           // attempts after the first

	section config.Section
}

// Register adds every setting to set.
func (c *Config) Register(set *config.Set) {
	s := set.Section("load", false)
	c.section = s
	s.String(&c.Target, "target", "127.0.0.1:9090", "the participation service's gRPC address, host:port; calls are spread over all addresses of the host")
	set.String(&c.DatabaseURL, "database-url", "DATABASE_URL", "", "the service's PostgreSQL, to verify the entries afterwards (only SELECTs)")
	s.String(&c.Mode, "mode", Unary, "how to enter: unary calls, one stream per connection, or http: the JSON facade")
	s.String(&c.Facade, "facade", "http://127.0.0.1:9080", "the JSON facade's URL, for mode http; raffles are made by gRPC all the same")
	s.Int(&c.Connections, "connections", 1, "gRPC connections, 1 to 1000")
	s.Int(&c.Concurrency, "concurrency", 64, "requests in flight at most, 1 to 60000")
	s.Int(&c.Rate, "rate", 0, "requests per second, 1 to 1000000, whatever the answers take; 0: each waits for an answer")
	s.Int(&c.Count, "count", 0, "requests to send, 1 to 1000000000; 0: until the duration ends")
	s.Duration(&c.Duration, "duration", 10*time.Second, "for how long to send, up to 24h; 0s: until the count is reached")
	s.Bool(&c.UntilClosed, "until-closed", false, "stop before that once the service says that a raffle is not open")
	s.Int(&c.Raffles, "raffles", 1, "raffles to make and enter, 1 to 100000")
	s.Int(&c.MaxEntries, "max-entries", 1, "entries that one member may have in a raffle, 1 to 1000")
	s.Int(&c.Members, "members", 0, "members who enter each raffle in turn, up to 1000000000, past their limit if it comes to that; 0: always new ones")
	s.Duration(&c.ClosesAfter, "closes-after", 0, "the raffles close so long after the start, up to 24h; 0s: never")
	s.Int(&c.RepeatPercent, "repeat-percent", 1, "requests that are sent twice at once with the same request_id, in percent")
	s.Int(&c.GiveUpPercent, "give-up-percent", 1, "requests that are given up early, then sent again with the same request_id, in percent")
	s.Duration(&c.GiveUpAfter, "give-up-after", 2*time.Millisecond, "how early those are given up, 1us to 1m")
	s.Duration(&c.Timeout, "timeout", 10*time.Second, "time for one attempt, 1ms to 5m; a request without an answer by then is sent again")
	s.Int(&c.Retries, "retries", 20, "attempts after the first, before a request's fate stays unknown, 0 to 1000")
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error {
	check := c.section.Checks()
	check.Address("target", strings.TrimPrefix(c.Target, "dns:///"))
	check.That(c.Mode == Unary || c.Mode == Stream || c.Mode == HTTP, "mode", c.Mode, "unary, stream or http")
	check.That(strings.HasPrefix(c.Facade, "http://") || strings.HasPrefix(c.Facade, "https://"), "facade", c.Facade, "http://host:port or https://host:port")
	check.Between("connections", c.Connections, 1, 1000)
	check.Between("concurrency", c.Concurrency, 1, maxInFlight)
	check.Between("rate", c.Rate, 0, 1_000_000)
	check.Between("count", c.Count, 0, 1_000_000_000)
	check.DurationBetween("duration", c.Duration, 0, 24*time.Hour)
	check.That(c.Count > 0 || c.Duration > 0, "duration", c.Duration, "above 0s where no count is set")
	check.Between("raffles", c.Raffles, 1, 100_000)
	check.Between("max-entries", c.MaxEntries, 1, 1000)
	check.Between("members", c.Members, 0, 1_000_000_000)
	check.DurationBetween("closes-after", c.ClosesAfter, 0, 24*time.Hour)
	check.Between("repeat-percent", c.RepeatPercent, 0, 100)
	check.Between("give-up-percent", c.GiveUpPercent, 0, 100)
	check.DurationBetween("give-up-after", c.GiveUpAfter, time.Microsecond, time.Minute)
	check.DurationBetween("timeout", c.Timeout, time.Millisecond, 5*time.Minute)
	check.Between("retries", c.Retries, 0, 1000)
	return check.Err()
}
