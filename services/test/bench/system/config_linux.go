package bench

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Config configures the benchmark. The services' own settings are in the environment, as
// they are for the services themselves.
type Config struct {
	Programs string        `name:"programs" env:"BENCH_PROGRAMS" default:".build" form:"a directory" help:"Directory of the programs participation and gateway."`
	Dir      string        `name:"dir" env:"BENCH_DIR" form:"a directory" help:"Directory for PostgreSQL and NATS. What is written into it is removed afterwards. Without it, a temporary one is used."`
	Cache    string        `name:"cache" env:"BENCH_CACHE" default:".data/cache" form:"a directory" help:"Directory in which PostgreSQL's programs are kept, if they have to be fetched."`
	Only     string        `name:"only" env:"BENCH_ONLY" form:"names of scenes, separated by commas" help:"Scenes that are measured: crowd, few, raffles. Without it, all are."`
	Turns    int           `name:"turns" env:"BENCH_TURNS" default:"3" min:"1" max:"100" unit:"turns" help:"Turns of the scenes."`
	Duration time.Duration `name:"duration" env:"BENCH_DURATION" default:"10s" min:"100ms" max:"10m" help:"How long a scene is measured in a turn."`
	WarmUp   time.Duration `name:"warm-up" env:"BENCH_WARM_UP" default:"2s" min:"0s" max:"10m" help:"How long a scene runs before it is measured."`
	Viewers  int           `name:"viewers" env:"BENCH_VIEWERS" default:"10000" min:"1" max:"15000" unit:"viewers" help:"Viewers of the crowd."`
	Few      int           `name:"few" env:"BENCH_FEW" default:"10" min:"1" max:"1000" unit:"viewers" help:"Viewers without a crowd."`
	Raffles  int           `name:"raffles" env:"BENCH_RAFFLES" default:"1000" min:"1" max:"1500" unit:"raffles" help:"Raffles with ten viewers each."`
	Rate     int           `name:"rate" env:"BENCH_RATE" default:"1000" min:"1" max:"100000" unit:"entries a second" help:"Rate at which the callers enter."`
	Patience time.Duration `name:"patience" env:"BENCH_PATIENCE" default:"30s" min:"1s" max:"10m" help:"Most time for every viewer to receive an update, and again the final odds."`
	Priority int           `name:"priority" env:"BENCH_PRIORITY" default:"10" min:"0" max:"20" unit:"levels" help:"By how much the viewers come before the other processes (nice), as if they had machines of their own. The report says whether the system permits that."`
	Profiles string        `name:"profiles" env:"BENCH_PROFILES" form:"a directory" help:"Directory for CPU profiles of the services in each scene. Without it, none are taken."`

	// Program is the command that runs a part of the benchmark. nil: this program.
	Program []string `kong:"-"`
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error { return config.Validate(c) }

// Rules implements config.Rules.
func (c *Config) Rules(check *config.Checks) {
	for _, name := range c.only() {
		known := slices.ContainsFunc(c.scenes(), func(s scene) bool { return s.name == name })
		check.That(known, &c.Only, "some of crowd, few and raffles")
	}
}

func (c *Config) only() []string {
	if c.Only == "" {
		return nil
	}
	return strings.Split(c.Only, ",")
}

// scene is a number of raffles with the same number of viewers.
type scene struct {
	name    string
	suffix  string // of its results
	raffles int
	viewers int // of each raffle
}

// viewersOfRaffle is how many viewers a raffle has in the scene with many raffles.
const viewersOfRaffle = 10

func (c *Config) scenes() []scene {
	return []scene{
		{"crowd", "", 1, c.Viewers},
		{"few", "_few", 1, c.Few},
		{"raffles", "_raffles", c.Raffles, viewersOfRaffle},
	}
}

// chosen returns the scenes that are measured.
func (c *Config) chosen() []scene {
	only := c.only()
	return slices.DeleteFunc(c.scenes(), func(s scene) bool { return only != nil && !slices.Contains(only, s.name) })
}

// program returns the command for parts.
func (c *Config) program() ([]string, error) {
	if c.Program != nil {
		return c.Program, nil
	}
	self, err := os.Executable()
	return []string{self}, err
}
