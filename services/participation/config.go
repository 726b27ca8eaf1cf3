package participation

import (
	"log/slog"
	"net"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/httpserver"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/tlsfiles"
)

// Config configures the service. Make one with DefaultConfig, or let a command hold
// it, which fills it from flags and environment variables.
type Config struct {
	Database
	natsconn.ServerSettings
	Settings
	Access access.Settings `embed:"" group:"Access:"`

	Log *slog.Logger `kong:"-"` // nil: nothing is logged
	// Listeners, if set, are served on instead of the addresses in Settings. They are
	// closed when the service stops.
	Listeners *Listeners `kong:"-"`
	// FirstRaffle, if set, is the title of a raffle that is made if there is none.
	FirstRaffle string `kong:"-"`
	// Started, if set, is called once, when the service takes calls.
	Started func(Addresses) `kong:"-"`
}

// Database is the setting that says where the database is.
type Database struct {
	DatabaseURL string `name:"database-url" env:"DATABASE_URL" required:"" secret:"" form:"the URL or the keywords of a PostgreSQL 14 or newer, as postgres://user:password@host:port/database" help:"The database."`
}

// Startup are the settings of the start, which migrating has too.
type Startup struct {
	StartTimeout time.Duration `name:"start-timeout" env:"PARTICIPATION_START_TIMEOUT" default:"1m" min:"0s" max:"1h" help:"Time for the database to become ready at the start."`
}

// Settings are the settings of the service besides where its database and NATS are.
type Settings struct {
	GRPCAddress string `name:"grpc-address" env:"PARTICIPATION_GRPC_ADDRESS" default:"127.0.0.1:9090" is:"address" help:"Address of the gRPC API."`
	HTTPAddress string `name:"http-address" env:"PARTICIPATION_HTTP_ADDRESS" default:"127.0.0.1:9080" is:"address" help:"Address of the HTTP/JSON API."`
	OpsAddress  string `name:"ops-address" env:"PARTICIPATION_OPS_ADDRESS" default:"127.0.0.1:9091" is:"address" help:"Address of /livez, /readyz, /metrics and /debug/pprof/."`

	TLS tlsfiles.Settings `embed:"" envprefix:"PARTICIPATION_"`
	// Certificates belong to participation alone: browsers have none.
	Certificates string `name:"auth-certificates" env:"PARTICIPATION_AUTH_CERTIFICATES" form:"pairs of a role (member, backend, operator) and a name, like operator=spiffe://example.org/ops, separated by commas" help:"Roles of client certificates, by a URI or DNS name among their subject alternative names. It needs --tls-client-ca."`

	Hosts string `name:"hosts" env:"PARTICIPATION_HOSTS" form:"names like entries.example.org, separated by commas, or *" help:"Names, besides those of loopback, that HTTP requests may be for (their header Host). Without it, a port on loopback answers only requests for loopback, and others answer all."`

	DatabaseConns int  `name:"database-conns" env:"PARTICIPATION_DATABASE_CONNS" default:"16" min:"2" max:"1000" unit:"connections" help:"Most connections to the database for reads and for calls that manage raffles. Writing entries has one more for each partition, and five besides."`
	Migrate       bool `name:"migrate" env:"PARTICIPATION_MIGRATE" default:"${participation_migrate=false}" help:"Bring the database's schema up to date at the start."`
	Replicas      int  `name:"stream-replicas" env:"PARTICIPATION_STREAM_REPLICAS" default:"1" min:"1" max:"5" unit:"servers" help:"Servers of the NATS cluster that each keep a copy of the stream of odds."`

	Partitions   int           `name:"partitions" env:"PARTICIPATION_PARTITIONS" default:"4" min:"1" max:"64" unit:"partitions" help:"Transactions that write entries at the same time. Each raffle belongs to one partition, which writes one batch after the other."`
	Queue        int           `name:"queue" env:"PARTICIPATION_QUEUE" default:"8192" min:"1" max:"1000000" unit:"calls" help:"Most calls that wait in a partition, and again most entries of streams, of which each stream has a share. Further ones are refused with RESOURCE_EXHAUSTED."`
	Batch        int           `name:"batch" env:"PARTICIPATION_BATCH" default:"2048" min:"1" max:"10000" unit:"entries" help:"Most entries that are written in one transaction."`
	WriteTimeout time.Duration `name:"write-timeout" env:"PARTICIPATION_WRITE_TIMEOUT" default:"10s" min:"100ms" max:"5m" help:"Most time for one transaction that writes entries."`

	MaxConnections          int `name:"max-connections" env:"PARTICIPATION_MAX_CONNECTIONS" default:"5000" min:"1" max:"1000000" unit:"connections" zero:"a third of the files that the process may open" help:"Most gRPC connections, and again most HTTP connections. An idle one takes 17 KB. Further ones are closed at once."`
	NewConnectionsPerClient int `name:"new-connections-per-client" env:"PARTICIPATION_NEW_CONNECTIONS_PER_CLIENT" default:"100" min:"1" max:"1000000" unit:"connections a second" zero:"no bound" help:"Most new connections of one client address (of IPv6: one /64), over gRPC and again over HTTP. Those of three seconds may come at once. Further ones are closed at once."`
	MaxConnectionsPerClient int `name:"max-connections-per-client" env:"PARTICIPATION_MAX_CONNECTIONS_PER_CLIENT" default:"256" min:"1" max:"1000000" unit:"connections" zero:"no bound" help:"Most gRPC connections of one client address (of IPv6: one /64). Further ones are closed at once. Behind a proxy, all clients have its address."`

	EntriesPerMember int `name:"entries-per-member" env:"PARTICIPATION_ENTRIES_PER_MEMBER" default:"0" min:"1" max:"1000000" unit:"entries a minute" zero:"no bound" help:"Most entries of one member, over all raffles. As many may come at once. Further ones are refused with RESOURCE_EXHAUSTED. Backends are not bounded."`
	EntriesPerClient int `name:"entries-per-client" env:"PARTICIPATION_ENTRIES_PER_CLIENT" default:"0" min:"1" max:"1000000" unit:"entries a minute" zero:"no bound" help:"The same for one client address (of IPv6: one /64) that is connected here. Behind gateways, set theirs instead."`

	ConflationInterval time.Duration `name:"conflation-interval" env:"PARTICIPATION_CONFLATION_INTERVAL" default:"50ms" min:"0s" max:"1m" help:"Least time between two messages of one raffle on NATS. Of the versions between, only the newest is published; the last always is."`

	DrawSettings

	Startup
	StopTimeout      time.Duration `name:"stop-timeout" env:"PARTICIPATION_STOP_TIMEOUT" default:"5s" min:"0s" max:"10m" help:"Time for calls in flight to finish at the stop."`
	MaxConnectionAge time.Duration `name:"max-connection-age" env:"PARTICIPATION_MAX_CONNECTION_AGE" default:"5m" min:"1s" max:"24h" zero:"no end" help:"How long a gRPC connection or a stream of entries lasts, give or take 10 %, before its client must open another one. It spreads clients over new instances."`
	IdleTimeout      time.Duration `name:"idle-timeout" env:"PARTICIPATION_IDLE_TIMEOUT" default:"10m20s" min:"1s" max:"24h" help:"How long a connection without a call is kept, over gRPC and HTTP. Longer than the load balancer before it keeps its connections, which is up to 600 s: else calls may meet a connection that is just being closed."`
	Keepalive        time.Duration `name:"keepalive" env:"PARTICIPATION_KEEPALIVE" default:"1m" min:"1s" max:"24h" help:"Silence on a gRPC connection after which its client is asked whether it is there. One that does not answer for 20 s is disconnected. Shorter than the load balancer lets a connection be silent."`
	MaxIdlePerClient int           `name:"max-idle-per-client" env:"PARTICIPATION_MAX_IDLE_PER_CLIENT" default:"2000" min:"1" max:"10000000" unit:"connections" zero:"no limit" help:"Most HTTP connections of one peer's address (of IPv6: one /64) that wait for another request. Further ones are closed. A gateway keeps up to 1024."`
	// Of what the service allocates, little stays: a larger heap, of some tens of MiB,
	// saves a fifth of its CPU.
	GCPercent int `name:"gc-percent" env:"PARTICIPATION_GC_PERCENT" default:"400" min:"1" max:"10000" unit:"percent" zero:"Go's default, 100" help:"Growth of the heap after which garbage is collected. More costs memory and saves CPU. The variable GOGC wins over it."`
}

// Addresses are the addresses that a running service listens on.
type Addresses struct{ GRPC, HTTP, Ops net.Addr }

// Service is the name of the service, as in the prefixes of flags and variables.
const Service = "participation"

// DefaultConfig returns the defaults. The database's URL has none.
func DefaultConfig() Config {
	var c Config
	config.SetDefaults(&c)
	return c
}

// Rules implements config.Rules.
func (s *Settings) Rules(check *config.Checks) {
	_, err := access.ParseCertificates(s.Certificates)
	check.That(err == nil, &s.Certificates)
	check.NoError(httpserver.CheckHosts(config.List(s.Hosts)), &s.Hosts)
	check.That(s.Certificates == "" || s.TLS.ClientCA != "", &s.Certificates, "given with --tls-client-ca")
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
	if auth.Enabled() || s.Certificates != "" || auth.AllowAnonymous {
		return
	}
	const bound = "on loopback, unless callers are authenticated (--auth-jwks or --auth-certificates) or --allow-anonymous says that everybody may do everything"
	for _, address := range []*string{&s.GRPCAddress, &s.HTTPAddress, &s.OpsAddress} {
		if !config.IsLoopback(*address) {
			check.That(false, address, bound)
			return // one line is enough
		}
	}
}

// Validate returns everything that is wrong with the configuration.
func (c *Config) Validate() error { return config.Validate(c) }
