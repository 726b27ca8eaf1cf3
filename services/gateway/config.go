package gateway

import (
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/httpapi"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
)

// Config is all that the service can be told. Make one with DefaultConfig, or
// fill it from flags and environment variables with Register and RegisterPeers.
type Config struct {
	Address    string // browsers connect here, host:port
	OpsAddress string // health, metrics and profiles

	NATSURL          string // NATS servers, separated by commas
	NATSCA           string // PEM file of who signs their certificates; empty: the system's
	NATSCredentials  string // .creds file; empty: what NATSURL says
	NATSAPIPrefix    string // before JetStream's subjects; empty: $JS.API
	ParticipationURL string // entries are forwarded there; empty: not taken here

	// ConflationInterval is the least time between two updates of one raffle.
	ConflationInterval time.Duration
	Heartbeat          time.Duration // silence before a heartbeat, ±20 %
	Lifetime           time.Duration // of a stream, ±20 %
	RetryMin           time.Duration // bounds of the wait that clients are told
	RetryMax           time.Duration
	WriteTimeout       time.Duration // a client that takes nothing for so long is dropped
	SendBuffer         int           // bytes that the kernel may hold for a client; 0: its default
	DrainDelay         time.Duration // between "not ready" and the first closed stream
	DrainWindow        time.Duration // over which streams are closed

	MaxConnections          int           // 0: nine tenths of the files that the process may open
	MaxConnectionsPerClient int           // by address; 0: any number
	MaxRaffles              int           // on one connection
	TrustedProxies          string        // CIDRs whose X-Forwarded-For is believed
	CORSOrigins             string        // whose pages may read; "*": all
	MaxHeaderBytes          int           // of a request
	HeaderTimeout           time.Duration // for a request's header to arrive, and again for its body

	Log *slog.Logger // where to log; nil: nowhere
	// Started, where set, is called once, when the service answers. Ready may
	// still be false.
	Started func(Addresses)

	section config.Section
}

// Addresses are where a running service listens.
type Addresses struct{ HTTP, Ops net.Addr }

// Service is the service's name, as in flags and environment variables.
const Service = "gateway"

// DefaultConfig returns the defaults; NATSURL is missing in it.
func DefaultConfig() Config {
	var c Config
	c.Register(config.NewSet(Service).Section(Service, false))
	return c
}

// privateNetworks are where a proxy of one's own stands. Clients from there can
// name any address as theirs; it decides only how many connections they may have.
const privateNetworks = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"

// Register adds every setting but where the other parts are to a section.
func (c *Config) Register(s config.Section) {
	c.section = s
	s.String(&c.Address, "address", "127.0.0.1:9998", "browsers connect to this host:port")
	s.String(&c.OpsAddress, "ops-address", "127.0.0.1:9999", "health, metrics and profiles are served on this host:port")
	s.Duration(&c.ConflationInterval, "conflation-interval", 50*time.Millisecond, "least time between two updates of a raffle to its viewers: of those between only the newest is sent, and the last always is; 0s to 1m")
	s.Duration(&c.Heartbeat, "heartbeat", 15*time.Second, "silence before a heartbeat, give or take 20 %, 100ms to 10m")
	s.Duration(&c.Lifetime, "lifetime", 30*time.Minute, "life of a stream, give or take 20 %, 1s to 24h")
	s.Duration(&c.RetryMin, "retry-min", time.Second, "least wait that a client is told before it comes back, 0s to 1h")
	s.Duration(&c.RetryMax, "retry-max", 5*time.Second, "longest wait that a client is told, from the least one to 1h")
	s.Duration(&c.WriteTimeout, "write-timeout", 30*time.Second, "a client that takes nothing for so long is dropped, 1s to 10m")
	s.Int(&c.SendBuffer, "send-buffer", 16<<10, "bytes that the kernel may hold for a client, 4096 to 16777216; 0: as it likes")
	s.Int(&c.MaxConnections, "max-connections", 0, "most open streams and long polls, up to 10000000; 0: nine tenths of the files that the process may open")
	s.Int(&c.MaxConnectionsPerClient, "max-connections-per-client", 1000, "the same of one client address (of IPv6: one /64), up to 10000000; 0: any number")
	s.Int(&c.MaxRaffles, "max-raffles", 100, "most raffles on one connection, 1 to 100")
	s.String(&c.TrustedProxies, "trusted-proxies", privateNetworks, "networks whose X-Forwarded-For is believed, as CIDRs separated by commas")
	s.String(&c.CORSOrigins, "cors-origins", "", "origins like https://example.org whose pages may read from here, separated by commas; * for all")
	s.Int(&c.MaxHeaderBytes, "max-header-bytes", 16<<10, "most bytes of a request's header, 1024 to 1048576")
	s.Duration(&c.HeaderTimeout, "header-timeout", 5*time.Second, "most time for a request's header to arrive, and again for its body, 100ms to 1m")
	s.Duration(&c.DrainDelay, "drain-delay", 0, "at stop: time between \"not ready\" and the first closed stream, 0s to 10m")
	s.Duration(&c.DrainWindow, "drain-window", 20*time.Second, "at stop: time over which streams are closed, 0s to 1h")
}

// RegisterPeers adds where the other parts are, under their usual names.
func (c *Config) RegisterPeers(s *config.Set) {
	s.String(&c.NATSURL, "nats-url", "NATS_URL", "nats://127.0.0.1:4222", "NATS servers, separated by commas")
	s.String(&c.NATSCA, "nats-ca", "NATS_CA", "", "PEM file of the CA that signs the NATS servers' certificates; with it, TLS is demanded of them")
	s.String(&c.NATSCredentials, "nats-credentials", "NATS_CREDENTIALS", "", "file with a NATS user's JWT and key (.creds)")
	s.String(&c.NATSAPIPrefix, "nats-api-prefix", "NATS_API_PREFIX", "", "subject by which JetStream's API is imported from the account of the stream; without it $JS.API")
	s.String(&c.ParticipationURL, "participation-url", "PARTICIPATION_URL", "", "forward entries to the JSON facade at this http://host:port; without it they are not taken here")
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error {
	check := c.section.Checks()
	check.Address("address", c.Address)
	check.Address("ops-address", c.OpsAddress)
	check.DurationBetween("conflation-interval", c.ConflationInterval, 0, time.Minute)
	check.DurationBetween("heartbeat", c.Heartbeat, 100*time.Millisecond, 10*time.Minute)
	check.DurationBetween("lifetime", c.Lifetime, time.Second, 24*time.Hour)
	check.DurationBetween("retry-min", c.RetryMin, 0, time.Hour)
	check.DurationBetween("retry-max", c.RetryMax, max(0, c.RetryMin), time.Hour)
	check.DurationBetween("write-timeout", c.WriteTimeout, time.Second, 10*time.Minute)
	check.DurationBetween("drain-delay", c.DrainDelay, 0, 10*time.Minute)
	check.DurationBetween("drain-window", c.DrainWindow, 0, time.Hour)
	check.That(c.SendBuffer == 0 || (c.SendBuffer >= 4096 && c.SendBuffer <= 16<<20), "send-buffer", c.SendBuffer, "0 or 4096 to 16777216")
	check.Between("max-connections", c.MaxConnections, 0, 10_000_000)
	check.Between("max-connections-per-client", c.MaxConnectionsPerClient, 0, 10_000_000)
	check.Between("max-raffles", c.MaxRaffles, 1, 100)
	check.Between("max-header-bytes", c.MaxHeaderBytes, 1024, 1<<20)
	check.DurationBetween("header-timeout", c.HeaderTimeout, 100*time.Millisecond, time.Minute)
	_, err := c.proxies()
	check.That(err == nil, "trusted-proxies", c.TrustedProxies, "CIDRs like 10.0.0.0/8, separated by commas")
	_, err = c.origins()
	check.That(err == nil, "cors-origins", c.CORSOrigins, "* or origins like https://example.org, separated by commas")
	check.That(c.NATSURL != "", "nats-url", `""`, "set (NATS_URL)")
	check.NoError("nats-ca", c.NATSCA, natsconn.CheckCA(c.NATSCA), "a PEM file of certificates")
	check.That(!strings.ContainsAny(c.NATSAPIPrefix, "*> \t\r\n") && !strings.Contains("."+c.NATSAPIPrefix+".x", "..") || c.NATSAPIPrefix == "",
		"nats-api-prefix", c.NATSAPIPrefix, "a subject without wildcards, like odds.api")
	check.NoError("nats-credentials", c.NATSCredentials, natsconn.CheckCredentials(c.NATSCredentials), "a .creds file")
	_, err = c.participation()
	check.That(err == nil, "participation-url", c.ParticipationURL, "http://host:port or empty")
	return check.Err()
}

// participation returns where to forward entries, or nil.
func (c *Config) participation() (*url.URL, error) {
	if c.ParticipationURL == "" {
		return nil, nil //nolint:nilnil // nowhere is a place
	}
	u, err := url.Parse(c.ParticipationURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, &url.Error{Op: "parse", URL: c.ParticipationURL, Err: err}
	}
	return u, nil
}

// list splits a setting at its commas.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

func (c *Config) proxies() (prefixes []netip.Prefix, err error) {
	for _, text := range list(c.TrustedProxies) {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func (c *Config) origins() ([]string, error) {
	origins := list(c.CORSOrigins)
	return origins, httpapi.CheckOrigins(origins)
}

// maxConnections returns how many streams and long polls may be open.
func (c *Config) maxConnections() int {
	if c.MaxConnections > 0 {
		return c.MaxConnections
	}
	return openFiles() * 9 / 10
}
