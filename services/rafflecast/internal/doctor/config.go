package doctor

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
)

// Config configures a diagnosis.
type Config struct {
	Credentials connect.Credentials `embed:""`

	URL       string        `arg:"" name:"url" form:"http://host or https://host, perhaps with a port and a path" help:"Public address of the gateway. A path in it is put before /api/."`
	Raffle    int           `name:"raffle" env:"DOCTOR_RAFFLE" default:"0" min:"1" zero:"the first open one" help:"Id of the raffle to watch."`
	Watch     time.Duration `name:"watch" env:"DOCTOR_WATCH" default:"100s" min:"1s" max:"24h" help:"How long to watch. A limit that is longer is not found."`
	Heartbeat time.Duration `name:"heartbeat" env:"DOCTOR_HEARTBEAT" default:"15s" min:"100ms" max:"10m" help:"The gateway's --heartbeat."`
	Lifetime  time.Duration `name:"lifetime" env:"DOCTOR_LIFETIME" default:"30m" min:"1s" max:"24h" help:"The gateway's --lifetime."`
	Insecure  bool          `name:"insecure" env:"DOCTOR_INSECURE" help:"Accept any certificate."`
}

// DefaultConfig returns the defaults. The URL has none.
func DefaultConfig() Config {
	var c Config
	config.SetDefaults(&c)
	return c
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error { return config.Validate(c) }

// Rules implements config.Rules.
func (c *Config) Rules(check *config.Checks) {
	_, err := c.base()
	check.That(err == nil, &c.URL)
}

// base returns what stands before /api/ in the URLs of the gateway.
func (c *Config) base() (string, error) {
	u, err := url.Parse(c.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q: must be http://host or https://host, perhaps with a port and a path", c.URL)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// silence returns the longest time that a gateway sends nothing: its heartbeat comes
// give or take 20 %.
func (c *Config) silence() time.Duration { return c.Heartbeat * 12 / 10 }
