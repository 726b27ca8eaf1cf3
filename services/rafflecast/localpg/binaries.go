//go:build unix

package localpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// minMajor is the oldest major version of PostgreSQL that is supported.
const minMajor = 14

// Binaries are an installed PostgreSQL server.
type Binaries struct {
	Dir     string // absolute directory of postgres and initdb, symbolic links resolved
	Version string // such as "15.13"
	Major   int    // such as 15
}

// command prepares a program of the server to run as the place's account. Of the environment only the search paths are
// passed on: PGDATA, PGPORT and the like would change what it does, and the rest is none of its business.
func (b Binaries) command(ctx context.Context, name string, p place, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(b.Dir, name), args...) //nolint:gosec // G204: from Find
	cmd.Dir = p.dir
	cmd.Env = []string{"LC_ALL=C", "LANG=C"} // C: messages in English, as we parse and quote them
	for _, key := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(key); ok {
			cmd.Env = append(cmd.Env, key+"="+value)
		}
	}
	cmd.SysProcAttr = p.acct.attributes()
	return cmd
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (([0-9]+)[0-9A-Za-z.]*)`)

// parseVersion reads the output of postgres --version, such as "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)".
func parseVersion(line string) (version string, major int, err error) {
	m := versionLine.FindStringSubmatch(line)
	if m == nil {
		return "", 0, fmt.Errorf("no version in %q", oneLine(line))
	}
	major, err = strconv.Atoi(m[2])
	return m[1], major, err
}
