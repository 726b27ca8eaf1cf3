package doctor

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Config is all that can be told. Fill it from flags and environment variables
// with Register.
type Config struct {
	URL       string        // the public address; a path in it stands before /api/
	Raffle    int           // to watch; 0: the first open one
	Watch     time.Duration // for how long
	Heartbeat time.Duration // as the gateway was told
	Lifetime  time.Duration // of a stream, as the gateway was told
	Insecure  bool          // believe any certificate

	// slack is how late something may come that should come at once: what clocks,
	// networks and busy machines add.
	slack time.Duration
	// patience is how long to wait for what should come at once; 0: 10 s, or half of
	// the time to watch.
	patience time.Duration
	section  config.Section
}

// Register adds every setting to set.
func (c *Config) Register(set *config.Set) {
	s := set.Section("doctor", false)
	c.section, c.slack = s, time.Second
	set.Argument(&c.URL, "URL", "the public address of the gateway, like https://odds.example.org")
	s.Int(&c.Raffle, "raffle", 0, "id of the raffle to watch; 0: the first open one")
	s.Duration(&c.Watch, "watch", 100*time.Second, "for how long to watch, 1s to 24h; a limit beyond it stays unseen")
	s.Duration(&c.Heartbeat, "heartbeat", 15*time.Second, "the gateway's --heartbeat, 100ms to 10m")
	s.Duration(&c.Lifetime, "lifetime", 30*time.Minute, "the gateway's --lifetime, 1s to 24h")
	s.Bool(&c.Insecure, "insecure", false, "believe any certificate")
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error {
	check := c.section.Checks()
	check.That(c.Raffle >= 0, "raffle", c.Raffle, "an id, or 0")
	check.DurationBetween("watch", c.Watch, time.Second, 24*time.Hour)
	check.DurationBetween("heartbeat", c.Heartbeat, 100*time.Millisecond, 10*time.Minute)
	check.DurationBetween("lifetime", c.Lifetime, time.Second, 24*time.Hour)
	if c.URL == "" { // which was told of already
		return check.Err()
	}
	_, err := c.base()
	return errors.Join(check.Err(), err)
}

// base returns what stands before /api/.
func (c *Config) base() (string, error) {
	u, err := url.Parse(c.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q: must be http://host or https://host, perhaps with a port and a path", c.URL)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// silence returns the longest silence that a gateway leaves: its heartbeat comes
// give or take 20 %.
func (c *Config) silence() time.Duration { return c.Heartbeat * 12 / 10 }
