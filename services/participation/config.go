package participation

import (
	"log/slog"
	"net"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
)

// Config is all that the service can be told. Make one with DefaultConfig, or
// fill it from flags and environment variables with Register and RegisterStores.
type Config struct {
	GRPCAddress string // gRPC listens here, host:port
	HTTPAddress string // the JSON facade
	OpsAddress  string // health, metrics and profiles

	DatabaseURL     string // PostgreSQL, as a URL or keywords
	DatabaseConns   int    // most connections to it, beside those that write entries
	Migrate         bool   // bring the schema up to date at start
	NATSURL         string // NATS servers, separated by commas
	NATSCA          string // PEM file of who signs their certificates; empty: the system's
	NATSCredentials string // .creds file; empty: what NATSURL says
	Replicas        int    // copies of the stream in the NATS cluster

	Partitions   int           // transactions that write entries at once
	Queue        int           // calls that may wait in each partition
	Batch        int           // most entries in one transaction
	WriteTimeout time.Duration // for one transaction
	// ConflationInterval is the least time between two messages of one raffle in the
	// stream; 0: none.
	ConflationInterval time.Duration
	GCPercent          int // how much the heap grows between garbage collections; 0: Go's default

	StartTimeout time.Duration // for the database to be there at start
	StopTimeout  time.Duration // for calls under way to end at stop
	// MaxConnectionAge is how long a gRPC connection, or a stream of entries, is
	// used before its client must open another; 0: for ever.
	MaxConnectionAge time.Duration

	Log *slog.Logger // where to log; nil: nowhere
	// Started, where set, is called once, when the service takes calls.
	Started func(Addresses)

	section config.Section
}

// Addresses are where a running service listens.
type Addresses struct{ GRPC, HTTP, Ops net.Addr }

// Service is the service's name, as in flags and environment variables.
const Service = "participation"

// DefaultConfig returns the defaults; both stores' URLs are missing in it.
func DefaultConfig() Config {
	var c Config
	c.Register(config.NewSet(Service).Section(Service, false))
	return c
}

// Register adds every setting but the stores' URLs to a section.
func (c *Config) Register(s config.Section) {
	c.section = s
	s.String(&c.GRPCAddress, "grpc-address", "127.0.0.1:9090", "gRPC listens on this host:port")
	s.String(&c.HTTPAddress, "http-address", "127.0.0.1:9080", "the HTTP/JSON facade listens on this host:port")
	s.String(&c.OpsAddress, "ops-address", "127.0.0.1:9091", "health, metrics and profiles are served on this host:port")
	s.Int(&c.DatabaseConns, "database-conns", 16, "most connections to the database, 2 to 1000, beside one for each partition and two more")
	s.Bool(&c.Migrate, "migrate", false, "bring the database's schema up to date at start")
	s.Int(&c.Replicas, "stream-replicas", 1, "copies of the stream of odds in the NATS cluster, 1 to 5")
	s.Int(&c.Partitions, "partitions", 4, "transactions that write entries at once, each for its own raffles, 1 to 64")
	s.Int(&c.Queue, "queue", 8192, "calls that may wait in each partition before others are refused, 1 to 1000000")
	s.Int(&c.Batch, "batch", 2048, "most entries in one transaction, 1 to 10000")
	s.Duration(&c.WriteTimeout, "write-timeout", 10*time.Second, "time for one transaction, 100ms to 5m")
	s.Duration(&c.ConflationInterval, "conflation-interval", 50*time.Millisecond, "least time between two messages of one raffle on NATS, 0s to 1m; of the versions between, only the newest is published, and the last always is")
	s.Int(&c.GCPercent, "gc-percent", 400, "how much the heap may grow between garbage collections, in percent, 1 to 10000; 0: Go's default; the variable GOGC takes precedence")
	s.Duration(&c.StartTimeout, "start-timeout", time.Minute, "time for the database to be there at start, 0s to 1h")
	s.Duration(&c.StopTimeout, "stop-timeout", 5*time.Second, "time for calls under way to end at stop, 0s to 10m")
	s.Duration(&c.MaxConnectionAge, "max-connection-age", 5*time.Minute, "life of a gRPC connection or stream of entries, give or take 10 %, so that clients spread anew, 1s to 24h; 0s: no end")
}

// RegisterStores adds the stores' URLs under their usual names.
func (c *Config) RegisterStores(s *config.Set) {
	s.String(&c.DatabaseURL, "database-url", "DATABASE_URL", "", "PostgreSQL: postgres://user:password@host:port/database")
	s.String(&c.NATSURL, "nats-url", "NATS_URL", "nats://127.0.0.1:4222", "NATS servers, separated by commas")
	s.String(&c.NATSCA, "nats-ca", "NATS_CA", "", "PEM file of the CA that signs the NATS servers' certificates; with it, TLS is demanded of them")
	s.String(&c.NATSCredentials, "nats-credentials", "NATS_CREDENTIALS", "", "file with a NATS user's JWT and key (.creds)")
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error {
	check := c.section.Checks()
	check.Address("grpc-address", c.GRPCAddress)
	check.Address("http-address", c.HTTPAddress)
	check.Address("ops-address", c.OpsAddress)
	check.Between("database-conns", c.DatabaseConns, 2, 1000)
	check.Between("stream-replicas", c.Replicas, 1, 5)
	check.Between("partitions", c.Partitions, 1, 64)
	check.Between("queue", c.Queue, 1, 1_000_000)
	check.Between("batch", c.Batch, 1, 10_000)
	check.DurationBetween("write-timeout", c.WriteTimeout, 100*time.Millisecond, 5*time.Minute)
	check.DurationBetween("conflation-interval", c.ConflationInterval, 0, time.Minute)
	check.Between("gc-percent", c.GCPercent, 0, 10_000)
	check.DurationBetween("start-timeout", c.StartTimeout, 0, time.Hour)
	check.DurationBetween("stop-timeout", c.StopTimeout, 0, 10*time.Minute)
	check.That(c.MaxConnectionAge == 0 || (c.MaxConnectionAge >= time.Second && c.MaxConnectionAge <= 24*time.Hour), "max-connection-age", c.MaxConnectionAge, "0s or 1s to 24h")
	check.That(c.DatabaseURL != "", "database-url", `""`, "set (DATABASE_URL), to a PostgreSQL of version 14 or newer")
	check.That(c.NATSURL != "", "nats-url", `""`, "set (NATS_URL)")
	check.NoError("nats-ca", c.NATSCA, natsconn.CheckCA(c.NATSCA), "a PEM file of certificates")
	check.NoError("nats-credentials", c.NATSCredentials, natsconn.CheckCredentials(c.NATSCredentials), "a .creds file")
	return check.Err()
}
