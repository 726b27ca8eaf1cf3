package fuzz

import (
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Config says which targets run, and for how long.
type Config struct {
	Root string        `name:"root" env:"FUZZ_ROOT" default:"." form:"a directory" help:"Directory whose modules are searched for targets."`
	Time time.Duration `name:"time" env:"FUZZ_TIME" default:"1m" min:"1s" max:"24h" help:"How long each target tries inputs."`
	Only string        `name:"only" env:"FUZZ_ONLY" form:"a part of a name, as in httpapi.FuzzRequest" help:"Run only the targets whose package and name contain this."`
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error { return config.Validate(c) }
