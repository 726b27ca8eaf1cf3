package load

import (
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
)

// The ways to enter.
const (
	Unary  = "unary"
	Stream = "stream"
	HTTP   = "http"
)

// Config configures a load.
type Config struct {
	Credentials connect.Credentials `embed:""`

	Target      string        `name:"target" env:"RAFFLECAST_TARGET" default:"127.0.0.1:9090" is:"grpc-target" group:"Connection:" help:"Address of participation's gRPC API. Calls are spread over all addresses of the host."`
	DatabaseURL string        `name:"database-url" env:"DATABASE_URL" secret:"" form:"the URL or the keywords of a PostgreSQL" help:"Database of participation, to verify the entries afterwards (by SELECTs). Without it, nothing is verified."`
	Mode        string        `name:"mode" env:"LOAD_MODE" default:"unary" enum:"unary,stream,http" help:"How to enter: by unary calls, by one stream of entries per connection, or by HTTP/JSON."`
	Facade      string        `name:"facade" env:"LOAD_FACADE" default:"http://127.0.0.1:9080" is:"url" help:"HTTP/JSON API of participation, for --mode=http. Raffles are created by gRPC all the same."`
	Gateway     string        `name:"gateway" env:"RAFFLECAST_GATEWAY" is:"url" group:"Connection:" help:"Gateway at which the first raffle is watched meanwhile, to see that its odds are updated. Without it, nothing is watched."`
	MaxAge      time.Duration `name:"max-age" env:"LOAD_MAX_AGE" default:"5s" min:"100ms" max:"10m" help:"Most time from a commit until the gateway has sent its odds, or newer ones. The clocks of this machine and of the database must agree."`
	MaxP99      time.Duration `name:"max-p99" env:"LOAD_MAX_P99" default:"0s" min:"1ms" max:"10m" zero:"it is not judged" help:"Most latency of 99 % of the requests, from the time at which each was due to its final answer."`
	MaxRetried  int           `name:"max-retried" env:"LOAD_MAX_RETRIED" default:"0" min:"1" max:"10000" unit:"per mille" zero:"they are not judged" help:"Most attempts that fail and are made again, for each 1000 requests."`
	Unanswered  int           `name:"max-unanswered" env:"LOAD_MAX_UNANSWERED" default:"0" min:"1" max:"10000" unit:"per mille" zero:"they are not judged" help:"Most attempts without an answer within the timeout, for each 1000 requests."`
	Connections int           `name:"connections" env:"LOAD_CONNECTIONS" default:"1" min:"1" max:"1000" unit:"connections" help:"Connections by gRPC."`
	Concurrency int           `name:"concurrency" env:"LOAD_CONCURRENCY" default:"64" min:"1" max:"60000" unit:"requests" help:"Most requests in flight."`
	Rate        int           `name:"rate" env:"LOAD_RATE" default:"0" min:"1" max:"1000000" unit:"requests a second" zero:"each request waits for an answer" help:"Rate of requests, however long the answers take."`
	Count       int           `name:"count" env:"LOAD_COUNT" default:"0" min:"1" max:"1000000000" unit:"requests" zero:"until the duration ends" help:"Requests to send."`
	Duration    time.Duration `name:"duration" env:"LOAD_DURATION" default:"10s" min:"1ms" max:"24h" zero:"until the count is reached" help:"How long to send."`
	UntilClosed bool          `name:"until-closed" env:"LOAD_UNTIL_CLOSED" help:"Stop earlier if participation answers that a raffle is not open."`

	Bar bool `kong:"-"` // draw the progress as a bar on a terminal

	Raffles     int           `name:"raffles" env:"LOAD_RAFFLES" default:"1" min:"1" max:"100000" unit:"raffles" help:"Raffles to create and enter."`
	MaxEntries  int           `name:"max-entries" env:"LOAD_MAX_ENTRIES" default:"1" min:"1" max:"1000" unit:"entries" help:"Most entries of one member in a raffle."`
	Members     int           `name:"members" env:"LOAD_MEMBERS" default:"0" min:"1" max:"1000000000" unit:"members" zero:"new ones all the time" help:"Members who enter each raffle in turn, beyond their limit if it comes to that."`
	DrawDelay   time.Duration `name:"draw-delay" env:"LOAD_DRAW_DELAY" default:"0s" min:"10s" max:"168h" zero:"they are not drawn" help:"Time from a raffle's closing to its draw."`
	ClosesAfter time.Duration `name:"closes-after" env:"LOAD_CLOSES_AFTER" default:"0s" min:"1ms" max:"24h" zero:"never" help:"Time from the start until the raffles close."`

	RepeatPercent int           `name:"repeat-percent" env:"LOAD_REPEAT_PERCENT" default:"1" min:"0" max:"100" unit:"percent" help:"Requests that are sent twice at once with the same request_id."`
	CancelPercent int           `name:"cancel-percent" env:"LOAD_CANCEL_PERCENT" default:"1" min:"0" max:"100" unit:"percent" help:"Requests that are cancelled early, then sent again with the same request_id."`
	CancelAfter   time.Duration `name:"cancel-after" env:"LOAD_CANCEL_AFTER" default:"2ms" min:"1us" max:"1m" help:"Time after which those are cancelled."`
	Timeout       time.Duration `name:"timeout" env:"LOAD_TIMEOUT" default:"10s" min:"1ms" max:"5m" help:"Time for one attempt. A request without an answer by then is sent again."`
	Retries       int           `name:"retries" env:"LOAD_RETRIES" default:"20" min:"0" max:"1000" unit:"attempts" help:"Attempts after the first, before the outcome of a request stays unknown."`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	var c Config
	config.SetDefaults(&c)
	return c
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error { return config.Validate(c) }

// Rules implements config.Rules.
func (c *Config) Rules(check *config.Checks) {
	check.That(c.Count > 0 || c.Duration > 0, &c.Duration, "above 0s if no count is set")
}
