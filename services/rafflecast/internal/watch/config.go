package watch

import (
	"net/url"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Config is all that can be told. Fill it from flags and environment variables
// with Register.
type Config struct {
	Gateway string        // the gateway's URL
	Target  string        // the participation service's gRPC address, to ask for the final odds
	Raffle  int           // the raffle to watch
	Clients int           // connections
	Over    time.Duration // time over which the clients come
	Within  time.Duration // from the raffle's end to the final odds at each client
	Timeout time.Duration // for the raffle to be closed

	section config.Section
}

// Register adds every setting to set.
func (c *Config) Register(set *config.Set) {
	s := set.Section("watch", false)
	c.section = s
	s.String(&c.Gateway, "gateway", "http://127.0.0.1:9998", "the gateway's URL")
	s.String(&c.Target, "target", "127.0.0.1:9090", "the participation service's gRPC address, host:port, which is asked for the final odds")
	s.Int(&c.Raffle, "raffle", 0, "the raffle to watch")
	s.Int(&c.Clients, "clients", 500, "connections to hold, 1 to 20000")
	s.Duration(&c.Over, "over", 2*time.Second, "time over which they are opened, 0s to 10m")
	s.Duration(&c.Within, "within", 5*time.Second, "time from the raffle's end until every client has the final odds, 100ms to 10m; one that waits to come back has its wait on top")
	s.Duration(&c.Timeout, "timeout", 15*time.Minute, "time for the raffle to be closed, 1s to 24h")
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error {
	check := c.section.Checks()
	u, err := url.Parse(c.Gateway)
	check.That(err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"), "gateway", c.Gateway, "http://host:port or https://host:port")
	check.Address("target", strings.TrimPrefix(c.Target, "dns:///"))
	check.That(c.Raffle > 0, "raffle", c.Raffle, "the id of a raffle")
	check.Between("clients", c.Clients, 1, 20_000)
	check.DurationBetween("over", c.Over, 0, 10*time.Minute)
	check.DurationBetween("within", c.Within, 100*time.Millisecond, 10*time.Minute)
	check.DurationBetween("timeout", c.Timeout, time.Second, 24*time.Hour)
	return check.Err()
}
