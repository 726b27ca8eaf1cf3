//go:build unix

package bench

import (
	"os"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Config configures the benchmark.
type Config struct {
	Dir         string        `name:"dir" env:"BENCH_DIR" form:"a directory" help:"Directory on the disk to measure. What is written into it is removed afterwards. Without it, a temporary one is used."`
	Cache       string        `name:"cache" env:"BENCH_CACHE" default:".data/cache" form:"a directory" help:"Directory in which PostgreSQL's programs are kept, if they have to be fetched."`
	Rounds      int           `name:"rounds" env:"BENCH_ROUNDS" default:"3" min:"1" max:"100" unit:"rounds" help:"How often each workload takes its turn."`
	Duration    time.Duration `name:"duration" env:"BENCH_DURATION" default:"5s" min:"100ms" max:"10m" help:"How long a turn is."`
	Connections int           `name:"connections" env:"BENCH_CONNECTIONS" default:"1" min:"1" max:"64" unit:"connections" help:"Connections of the client by gRPC."`
	Only        string        `name:"only" env:"BENCH_ONLY" form:"names of workloads or the beginnings of them, separated by commas" help:"Workloads that take part. Without it, all do."`
	Million     int           `name:"million" env:"BENCH_MILLION" default:"10" min:"2" max:"1000" unit:"million entries" zero:"no memory test" help:"Size of the memory test."`
	Tickets     int           `name:"tickets" env:"BENCH_TICKETS" default:"10000000" min:"2000" max:"100000000" unit:"tickets" zero:"no draw" help:"Tickets of the raffle that is drawn and verified."`
	Profiles    string        `name:"profiles" env:"BENCH_PROFILES" form:"a directory" help:"Directory for CPU profiles of the service under each load. Without it, none are taken."`

	// Program is the command that runs one part of the benchmark. nil: this program,
	// with the command part.
	Program []string `kong:"-"`
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error { return config.Validate(c) }

// Rules implements config.Rules.
func (c *Config) Rules(check *config.Checks) {
	for _, name := range c.only() {
		check.That(len(matching(name)) > 0, &c.Only, "the beginnings of some of "+strings.Join(names(), ", "))
	}
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
