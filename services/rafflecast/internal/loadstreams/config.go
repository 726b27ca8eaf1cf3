package loadstreams

import (
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
)

// Config configures the clients that watch a raffle.
type Config struct {
	Service connect.Service `embed:""`
	Gateway connect.Gateway `embed:""`

	Raffle  int           `arg:"" min:"1" help:"Id of the raffle to watch."`
	Clients int           `name:"clients" env:"LOAD_STREAMS_CLIENTS" default:"500" min:"1" max:"20000" unit:"connections" help:"Clients, each with one connection."`
	Over    time.Duration `name:"over" env:"LOAD_STREAMS_OVER" default:"2s" min:"0s" max:"10m" help:"Time over which the clients connect."`
	Within  time.Duration `name:"within" env:"LOAD_STREAMS_WITHIN" default:"5s" min:"100ms" max:"10m" help:"Time from the raffle's end until every client must have the final odds. A client that waits to reconnect has its wait besides."`
	MaxAge  time.Duration `name:"max-age" env:"LOAD_STREAMS_MAX_AGE" default:"5s" min:"100ms" max:"10m" help:"Most time from a commit until every connected client has its odds, or newer ones. The clocks of this machine and of the database must agree."`
	MaxLate int           `name:"max-late" env:"LOAD_STREAMS_MAX_LATE" default:"0" min:"0" max:"100" unit:"percent" help:"Most clients, as a share of all, that may lack odds for longer than --max-age: those of a gateway that vanishes with its machine, until they notice its silence."`
	// Participation is asked four times a second, and a raffle that changes all the time
	// has twenty updates a second.
	MinUpdates int           `name:"min-updates" env:"LOAD_STREAMS_MIN_UPDATES" default:"50" min:"0" max:"100" unit:"percent" help:"Least updates that each client must receive, as a share of the looks at participation, four a second, that found a newer version."`
	MaxBurst   int           `name:"max-burst" env:"LOAD_STREAMS_MAX_BURST" default:"0" min:"1" max:"100" unit:"percent" zero:"they are not judged" help:"Most clients whose streams end within one second, and most that connect again within one, as a share of all. A gateway that drains spreads both over its drain window."`
	Timeout    time.Duration `name:"timeout" env:"LOAD_STREAMS_TIMEOUT" default:"15m" min:"1s" max:"24h" help:"Time until the raffle must be closed."`
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error { return config.Validate(c) }
