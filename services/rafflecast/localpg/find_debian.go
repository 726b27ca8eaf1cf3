//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// fromDebian installs the distribution's PostgreSQL.
func (f finder) fromDebian(ctx context.Context) (Binaries, error) {
	if !f.root {
		return Binaries{}, errors.New("only root may install it")
	}
	apt, err := f.lookPath("apt-get")
	if err != nil {
		return Binaries{}, errors.New("no apt-get")
	}
	f.Log.InfoContext(ctx, "installing the package postgresql, which takes a minute")
	done, err := noDefaultCluster(f.etc)
	if err != nil {
		return Binaries{}, err
	}
	defer done()
	if err := f.aptInstall(ctx, apt); err != nil {
		return Binaries{}, err
	}
	return f.installed(ctx)
}

// aptInstall tries the package lists that are there before it fetches new ones.
func (f finder) aptInstall(ctx context.Context, apt string) error {
	env := []string{"DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}
	install := func() error {
		_, err := f.run(ctx, "/", env, apt, "install", "-y", "--no-install-recommends",
			"-o", "DPkg::Lock::Timeout=60", "postgresql")
		return err
	}
	if install() == nil {
		return nil
	}
	if _, err := f.run(ctx, "/", env, apt, "update"); err != nil {
		return err
	}
	return install()
}

// noDefaultCluster keeps the package from creating its cluster "main" and starting it on port 5432, which nobody asked
// for. It drops a file into the directory that postgresql-common's createcluster.conf includes, and done removes it:
// the main file belongs to the package and to the administrator, and a policy-rc.d would stop the starting of all
// services, but not the creation. Where the directory is not read (before Debian 9) there is merely one cluster more.
func noDefaultCluster(etc string) (done func(), err error) {
	dir := filepath.Join(etc, "postgresql-common", "createcluster.d")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: as its neighbours
		return nil, fmt.Errorf("keep Debian's default cluster away: %w", err)
	}
	file := filepath.Join(dir, "rafflecast.conf")
	if err := os.WriteFile(file, []byte("create_main_cluster = false\n"), 0o600); err != nil {
		return nil, fmt.Errorf("keep Debian's default cluster away: %w", err)
	}
	return func() {
		_ = os.Remove(file)
		_ = os.Remove(dir) // if it was ours it is empty
	}, nil
}
