//go:build unix

package bench

import (
	"os"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Config is all that can be told. Fill it from flags and environment variables
// with Register.
type Config struct {
	Dir         string        // for everything that is written, removed afterwards; empty: a temporary one
	Cache       string        // where PostgreSQL's programs are kept, should they have to be fetched
	Rounds      int           // how often each contestant takes its turn
	Duration    time.Duration // of a turn
	Connections int           // gRPC connections of the client
	Only        string        // names of contestants, or the beginnings of them; empty: all
	Million     int           // entries of the memory test, in millions; 0: no memory test
	Profiles    string        // directory for CPU profiles of the service; empty: none

	// Program is the command that runs one part of the benchmark: this program,
	// with what leads to RunPart.
	Program []string

	section config.Section
}

// Register adds every setting to set.
func (c *Config) Register(set *config.Set) {
	s := set.Section("bench", false)
	c.section = s
	s.String(&c.Dir, "dir", "", "directory on the disk to measure; what is written into it is removed afterwards; none: a temporary one")
	s.String(&c.Cache, "cache", ".data/cache", "directory in which PostgreSQL's programs are kept, should they have to be fetched")
	s.Int(&c.Rounds, "rounds", 3, "how often each contestant takes its turn, 1 to 100")
	s.Duration(&c.Duration, "duration", 5*time.Second, "how long a turn is, 100ms to 10m")
	s.Int(&c.Connections, "connections", 1, "gRPC connections of the client, 1 to 64")
	s.String(&c.Only, "only", "", "contestants, by their names or the beginnings of them, separated by commas; none: all")
	s.Int(&c.Million, "million", 10, "entries of the memory test, in millions, 2 to 1000; 0: no memory test")
	s.String(&c.Profiles, "profiles", "", "directory for CPU profiles of the service under each load; none: no profiles")
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error {
	check := c.section.Checks()
	check.Between("rounds", c.Rounds, 1, 100)
	check.DurationBetween("duration", c.Duration, 100*time.Millisecond, 10*time.Minute)
	check.Between("connections", c.Connections, 1, 64)
	check.That(c.Million == 0 || c.Million >= 2 && c.Million <= 1000, "million", c.Million, "2 to 1000, or 0")
	for _, name := range c.only() {
		check.That(len(matching(name)) > 0, "only", name, "the beginning of one of "+strings.Join(names(), ", "))
	}
	return check.Err()
}

func (c *Config) only() []string {
	if c.Only == "" {
		return nil
	}
	return strings.Split(c.Only, ",")
}

// program returns the command for parts.
func (c *Config) program() ([]string, error) {
	if c.Program != nil {
		return c.Program, nil
	}
	self, err := os.Executable()
	return []string{self, "part"}, err
}
