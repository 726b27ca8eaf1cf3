package gateway

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/httpapi"
	"github.com/rafflecast/rafflecast/services/internal/accept"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/httpserver"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/tlsfiles"
)

// Config configures the service. Make one with DefaultConfig, or let a command hold
// it, which fills it from flags and environment variables.
type Config struct {
	natsconn.ServerSettings
	Peers
	Settings
	Access access.Settings `embed:"" group:"Access:"`

	Log *slog.Logger `kong:"-"` // nil: nothing is logged
	// Listeners, if set, are served on instead of the addresses in Settings. They are
	// closed when the service stops.
	Listeners *Listeners `kong:"-"`
	// Started, if set, is called once, when the service answers. It may not be ready
	// yet.
	Started func(Addresses) `kong:"-"`
	// Ready, if set, is called once, after Started, when the service becomes ready.
	Ready func() `kong:"-"`
}

// Peers are the settings that say how the gateway reaches the stream and participation.
type Peers struct {
	NATSAPIPrefix    string `name:"nats-api-prefix" env:"NATS_API_PREFIX" form:"a subject without wildcards, like odds.api" help:"Subject prefix by which the account imports JetStream's API from the account that has the stream. Without it, $$JS.API of the gateway's own account is used."`
	ParticipationURL string `name:"participation-url" env:"PARTICIPATION_URL" is:"url" help:"Participation's HTTP/JSON API, to which entries are forwarded. Without it, the gateway takes no entries."`

	ParticipationCA   string `name:"participation-ca" env:"PARTICIPATION_CA" form:"a PEM file of certificates" help:"Authorities of participation's certificate. Without it, the system's are trusted."`
	ParticipationCert string `name:"participation-cert" env:"PARTICIPATION_CERT" form:"a PEM file" help:"The gateway's own certificate for participation. It needs no role there: the token of a browser says what may be done."`
	ParticipationKey  string `name:"participation-key" env:"PARTICIPATION_KEY" form:"a PEM file" help:"Private key of that certificate."`
}

// Settings are the settings of the service besides where NATS and participation are.
// By default, clients in private networks may name any address as theirs, because
// one's own proxies are there; the address only counts against
// MaxConnectionsPerClient.
type Settings struct {
	Address    string `name:"address" env:"GATEWAY_ADDRESS" default:"127.0.0.1:9998" is:"address" help:"Address that browsers connect to."`
	OpsAddress string `name:"ops-address" env:"GATEWAY_OPS_ADDRESS" default:"127.0.0.1:9999" is:"address" help:"Address of /livez, /readyz, /metrics and /debug/pprof/."`

	TLS   tlsfiles.Settings `embed:"" envprefix:"GATEWAY_"`
	Hosts string            `name:"hosts" env:"GATEWAY_HOSTS" form:"names like odds.example.org, separated by commas, or *" help:"Names, besides those of loopback, that requests may be for (their header Host). Without it, a gateway on loopback answers only requests for loopback, and others answer all."`

	ConflationInterval time.Duration `name:"conflation-interval" env:"GATEWAY_CONFLATION_INTERVAL" default:"50ms" min:"0s" max:"1m" help:"Least time between two updates of a raffle to its viewers. Of the updates between, only the newest is sent; the last always is."`
	Heartbeat          time.Duration `name:"heartbeat" env:"GATEWAY_HEARTBEAT" default:"15s" min:"100ms" max:"10m" help:"Silence, give or take 20 %, after which a stream gets a heartbeat."`
	Lifetime           time.Duration `name:"lifetime" env:"GATEWAY_LIFETIME" default:"30m" min:"1s" max:"24h" help:"How long a stream lasts, give or take 20 %, before its client must reconnect."`
	RetryMin           time.Duration `name:"retry-min" env:"GATEWAY_RETRY_MIN" default:"1s" min:"0s" max:"1h" help:"Shortest wait before reconnecting that a client is told (retry:). Each client is told a random one."`
	RetryMax           time.Duration `name:"retry-max" env:"GATEWAY_RETRY_MAX" default:"5s" min:"0s" max:"1h" help:"Longest wait before reconnecting that a client is told. Not below --retry-min."`
	WriteTimeout       time.Duration `name:"write-timeout" env:"GATEWAY_WRITE_TIMEOUT" default:"30s" min:"1s" max:"10m" help:"A stream is closed if its client reads nothing for this long while data waits."`
	SendBuffer         int           `name:"send-buffer" env:"GATEWAY_SEND_BUFFER" default:"16384" min:"4096" max:"16777216" unit:"bytes" zero:"the kernel decides" help:"Size of the kernel's send buffer of each stream."`
	DrainDelay         time.Duration `name:"drain-delay" env:"GATEWAY_DRAIN_DELAY" default:"0s" min:"0s" max:"10m" help:"Time at the stop between being not ready and closing the first stream, for load balancers to notice."`
	DrainWindow        time.Duration `name:"drain-window" env:"GATEWAY_DRAIN_WINDOW" default:"${gateway_drain_window=20s}" min:"0s" max:"1h" help:"Time at the stop over which the streams are closed evenly."`

	MaxConnections          int           `name:"max-connections" env:"GATEWAY_MAX_CONNECTIONS" default:"0" min:"1" max:"10000000" unit:"connections" zero:"nine tenths of the files that the process may open" help:"Most streams and long polls. Further ones are answered with 503."`
	MaxConnectionsPerClient int           `name:"max-connections-per-client" env:"GATEWAY_MAX_CONNECTIONS_PER_CLIENT" default:"1000" min:"1" max:"10000000" unit:"connections" zero:"no limit" help:"Most streams and long polls of one client address (of IPv6: one /64). Further ones are answered with 429."`
	NewConnectionsPerClient int           `name:"new-connections-per-client" env:"GATEWAY_NEW_CONNECTIONS_PER_CLIENT" default:"100" min:"1" max:"1000000" unit:"connections a second" zero:"no bound" help:"Most new connections of one peer's address (of IPv6: one /64). Those of three seconds may come at once. Further ones are closed at once. The networks in --trusted-proxies are not bounded."`
	FullMark                int           `name:"full-mark" env:"GATEWAY_FULL_MARK" default:"90" min:"50" max:"100" unit:"percent" zero:"it is ready whatever their number" help:"Share of the most connections from which on the instance is not ready, as long as another one has room. It still serves who comes, up to the limit."`
	RoomMark                int           `name:"room-mark" env:"GATEWAY_ROOM_MARK" default:"75" min:"10" max:"99" unit:"percent" help:"Share of the most connections below which the instance has room, and is ready again. Below --full-mark."`
	RebalanceWindow         time.Duration `name:"rebalance-window" env:"GATEWAY_REBALANCE_WINDOW" default:"2m" min:"10s" max:"24h" zero:"it waits for their lifetimes to end" help:"Time in which an instance above --full-mark would end all its streams, the oldest first, while another one has room. It stops once it has room."`
	EntriesPerClient        int           `name:"entries-per-client" env:"GATEWAY_ENTRIES_PER_CLIENT" default:"0" min:"1" max:"1000000" unit:"entries a minute" zero:"no bound" help:"Most requests of one client address (of IPv6: one /64) that enter or withdraw. As many may come at once. Further ones are answered with 429."`
	MaxRaffles              int           `name:"max-raffles" env:"GATEWAY_MAX_RAFFLES" default:"100" min:"1" max:"100" unit:"raffles" help:"Most raffles that one connection may watch."`
	TrustedProxies          string        `name:"trusted-proxies" env:"GATEWAY_TRUSTED_PROXIES" default:"127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7" form:"networks like 10.0.0.0/8, separated by commas" help:"Networks of the proxies whose X-Forwarded-For is believed."`
	CORSOrigins             string        `name:"cors-origins" env:"GATEWAY_CORS_ORIGINS" form:"* or origins like https://example.org, separated by commas" help:"Origins whose pages may read the odds from here and enter, with a token of their own if one is needed. * is every origin, which may only read."`
	MaxHeaderBytes          int           `name:"max-header-bytes" env:"GATEWAY_MAX_HEADER_BYTES" default:"16384" min:"1024" max:"1048576" unit:"bytes" help:"Largest header of a request."`
	IdleTimeout             time.Duration `name:"idle-timeout" env:"GATEWAY_IDLE_TIMEOUT" default:"10m20s" min:"1s" max:"24h" help:"How long a connection waits for another request. Longer than the load balancer before it keeps its connections, which is up to 600 s: else requests may meet a connection that is just being closed."`
	MaxIdlePerClient        int           `name:"max-idle-per-client" env:"GATEWAY_MAX_IDLE_PER_CLIENT" default:"1000" min:"1" max:"10000000" unit:"connections" zero:"no limit" help:"Most connections of one peer's address (of IPv6: one /64) that wait for another request. Further ones are closed. Behind a proxy the peer is the proxy."`
	HeaderTimeout           time.Duration `name:"header-timeout" env:"GATEWAY_HEADER_TIMEOUT" default:"5s" min:"100ms" max:"1m" help:"Most time for a request's header to arrive, and again for its body."`
	// Of what the service allocates, little stays: a larger heap, of some tens of MiB,
	// saves a fifth of its CPU.
	GCPercent int `name:"gc-percent" env:"GATEWAY_GC_PERCENT" default:"400" min:"1" max:"10000" unit:"percent" zero:"Go's default, 100" help:"Growth of the heap after which garbage is collected. More costs memory and saves CPU. The variable GOGC wins over it."`
	// A connection whose request net/http reads leaves up to 14 KiB behind. Without headroom, a storm
	// of them has the collector go over all open connections many times a second.
	GCHeadroom int `name:"gc-headroom" env:"GATEWAY_GC_HEADROOM" default:"16777216" min:"0" max:"1073741824" unit:"bytes" help:"Bytes that count as heap and are never used, so that garbage is collected less often while there are few connections."`
}

// Addresses are the addresses that a running service listens on.
type Addresses struct{ HTTP, Ops net.Addr }

// Service is the name of the service, as in the prefixes of flags and variables.
const Service = "gateway"

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	var c Config
	config.SetDefaults(&c)
	return c
}

// Validate returns everything that is wrong with the configuration.
func (c *Config) Validate() error { return config.Validate(c) }

// Rules implements config.Rules.
func (s *Settings) Rules(check *config.Checks) {
	check.That(s.RetryMax >= s.RetryMin, &s.RetryMax, "at least --retry-min, "+s.RetryMin.String())
	check.That(s.FullMark == 0 || s.RoomMark < s.FullMark, &s.RoomMark, fmt.Sprintf("below --full-mark, %d percent", s.FullMark))
	_, err := s.proxies()
	check.That(err == nil, &s.TrustedProxies)
	_, err = s.origins()
	check.That(err == nil, &s.CORSOrigins)
	check.NoError(httpserver.CheckHosts(config.List(s.Hosts)), &s.Hosts)
}

// Rules implements config.Rules.
func (c *Config) Rules(check *config.Checks) {
	if c.Listeners == nil { // who has opened them has called CheckClosed
		c.CheckClosed(check, &c.Access)
	}
}

// CheckClosed notes an address that others than this machine can reach although nobody
// is authenticated there.
func (s *Settings) CheckClosed(check *config.Checks, auth *access.Settings) {
	if auth.Enabled() || auth.AllowAnonymous {
		return
	}
	const bound = "on loopback, unless callers are authenticated (--auth-jwks) or --allow-anonymous says that everybody may do everything"
	isClosed := config.IsLoopback(s.Address)
	check.That(isClosed, &s.Address, bound)
	check.That(!isClosed || config.IsLoopback(s.OpsAddress), &s.OpsAddress, bound) // one line is enough
}

// Rules implements config.Rules.
func (p *Peers) Rules(check *config.Checks) {
	subject := p.NATSAPIPrefix
	check.That((p.ParticipationCert == "") == (p.ParticipationKey == ""), &p.ParticipationCert, "given with --participation-key")
	if _, err := p.participationTLS(slog.New(slog.DiscardHandler)); err != nil {
		check.NoError(err, &p.ParticipationCA)
	}
	check.That(!strings.ContainsAny(subject, "*> \t\r\n") && !strings.Contains("."+subject+".x", "..") || subject == "", &p.NATSAPIPrefix)
}

// participation returns the URL to forward entries to, or nil.
func (p *Peers) participation() (*url.URL, error) {
	if p.ParticipationURL == "" {
		return nil, nil //nolint:nilnil // nil disables forwarding
	}
	return url.Parse(p.ParticipationURL)
}

// participationTLS returns what makes the configuration of connections to participation.
func (p *Peers) participationTLS(log *slog.Logger) (func() (*tls.Config, error), error) {
	files := tlsfiles.Client{CA: p.ParticipationCA, Certificate: p.ParticipationCert, Key: p.ParticipationKey}
	return files.Config(log)
}

func (s *Settings) proxies() (prefixes []netip.Prefix, err error) {
	for _, text := range config.List(s.TrustedProxies) {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func (s *Settings) origins() ([]string, error) {
	origins := config.List(s.CORSOrigins)
	return origins, httpapi.CheckOrigins(origins)
}

// maxConnections returns how many streams and long polls may be open.
func (s *Settings) maxConnections() int {
	if s.MaxConnections > 0 {
		return s.MaxConnections
	}
	return accept.OpenFiles() * 9 / 10
}
