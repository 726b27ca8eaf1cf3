//go:build unix

package localpg

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config says what server to run. Binaries and Dir are required (Dir must be empty for StartTemp).
type Config struct {
	// Binaries of the server, from Find.
	Binaries Binaries
	// Dir is the directory for everything the server writes. It is created if missing. Default: none.
	Dir string
	// Database is created if missing. Default "rafflecast".
	Database string
	// User is the superuser's name, fixed when the data directory is made. Default "rafflecast".
	User string
	// Settings are further settings of postgresql.conf, by name. Those that this package relies on are refused.
	Settings map[string]string
	// StartTimeout bounds a start, recovery after a crash included. Default 60 s.
	StartTimeout time.Duration
	// Log receives a line for each step. Default: none are written.
	Log *slog.Logger
}

// port is part of the socket's file name only: every server has a directory of its own.
const port = "5432"

// reserved settings are those that the package's promises rest on.
var reserved = []string{
	"cluster_name", "data_directory", "external_pid_file", "hba_file", "ident_file",
	"listen_addresses", "logging_collector", "port", "unix_socket_directories", "unix_socket_permissions",
}

// tempSettings trade the data's safety, which nobody needs in a throw-away server, for speed.
var tempSettings = map[string]string{
	"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
	"max_connections": "200",
}

var (
	settingName = regexp.MustCompile(`^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$`)
	plainName   = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
)

// validate reports all that is wrong at once, on one line.
func (c *Config) validate() error {
	var bad []string
	if c.Binaries.Dir == "" {
		bad = append(bad, "Binaries is empty")
	}
	if c.Dir == "" {
		bad = append(bad, "Dir is empty")
	}
	if c.StartTimeout < 0 {
		bad = append(bad, "StartTimeout is negative")
	}
	for field, name := range map[string]string{"Database": c.Database, "User": c.User} {
		if name != "" && !plainName.MatchString(name) {
			bad = append(bad, fmt.Sprintf("%s %q is not a plain lower-case name", field, name))
		}
	}
	for name := range c.Settings {
		if !settingName.MatchString(name) || slices.Contains(reserved, name) {
			bad = append(bad, fmt.Sprintf("Settings may not hold %q", name))
		}
	}
	if bad == nil {
		return nil
	}
	slices.Sort(bad)
	return errors.New("localpg: bad configuration: " + strings.Join(bad, "; "))
}

func (c *Config) setDefaults() {
	if c.Database == "" {
		c.Database = "rafflecast"
	}
	if c.User == "" {
		c.User = "rafflecast"
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = time.Minute
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Settings = maps.Clone(c.Settings)
	if abs, err := filepath.Abs(c.Dir); err == nil {
		c.Dir = abs
	}
}

// arguments are those of the postgres command: the directory and every setting, later ones winning.
func (s *Server) arguments() []string {
	settings := map[string]string{"timezone": "UTC", "log_timezone": "UTC", "log_checkpoints": "off"}
	if s.place.temp {
		maps.Copy(settings, tempSettings)
	}
	maps.Copy(settings, s.cfg.Settings)
	maps.Copy(settings, map[string]string{
		"cluster_name": s.place.name, "listen_addresses": "", "port": port, "logging_collector": "off",
		"unix_socket_permissions": "0700",
		"unix_socket_directories": `"` + strings.ReplaceAll(s.place.socket, `"`, `""`) + `"`,
	})
	args := []string{"-D", s.place.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}
