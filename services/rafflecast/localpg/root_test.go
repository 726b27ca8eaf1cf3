//go:build unix

package localpg

import (
	"os"
	"path/filepath"
	"testing"
)

// closed returns a directory that only root can reach, as a clone under /root is, and where files may go instead.
func closed(t *testing.T) (Config, options) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root runs PostgreSQL as another user")
	}
	cfg := setupEmpty(t)
	must(t, os.Mkdir(cfg.Dir, 0o700))
	cfg.Dir = filepath.Join(cfg.Dir, "clone", "pg")
	return cfg, options{relocateTo: []string{"/proc/nowhere", openTemp(t)}}
}

func TestRootRelocatesWhatIsOutOfReach(t *testing.T) {
	t.Parallel()
	cfg, o := closed(t)
	s, err := start(t.Context(), cfg, o)
	must(t, err)
	must(t, query(t.Context(), s.URL(), "CREATE TABLE t AS SELECT 42 AS n"))
	_, err = start(t.Context(), cfg, o)
	wantError(t, err, cfg.Dir, "in use")
	must(t, s.Stop(t.Context()))
	checkNothingLeft(t, s.place.dir)
	if target, err := os.Readlink(filepath.Join(cfg.Dir, relocated)); err != nil || target != s.place.dir {
		t.Errorf("link to %q, %v; want %s", target, err, s.place.dir)
	}
	info, err := os.Stat(filepath.Dir(filepath.Dir(cfg.Dir)))
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the parent is now %v", info.Mode())
	}
	again := begin(t, cfg, o)
	must(t, query(t.Context(), again.URL(), "SELECT n FROM t"))
}

func TestRootStartsAfreshWhenRelocatedFilesAreGone(t *testing.T) {
	t.Parallel()
	cfg, o := closed(t)
	s, err := start(t.Context(), cfg, o)
	must(t, err)
	must(t, s.Stop(t.Context()))
	must(t, os.RemoveAll(s.place.dir))
	begin(t, cfg, o)
}

func TestRootNeverForsakesData(t *testing.T) {
	t.Parallel()
	cfg, o := closed(t)
	parent := filepath.Dir(filepath.Dir(cfg.Dir))
	must(t, os.Chmod(parent, 0o755))
	s, err := start(t.Context(), cfg, o)
	must(t, err)
	must(t, s.Stop(t.Context()))
	must(t, os.Chmod(parent, 0o700))
	_, err = start(t.Context(), cfg, o)
	wantError(t, err, cfg.Dir, "can no longer reach")
}

func TestRootWithoutAnyPlace(t *testing.T) {
	t.Parallel()
	cfg, _ := closed(t)
	_, err := start(t.Context(), cfg, options{relocateTo: []string{"/proc/nowhere"}})
	wantError(t, err, cfg.Dir, "nor make a place elsewhere", "/proc/nowhere")
}

func TestAccount(t *testing.T) {
	t.Parallel()
	acct, err := pickAccount(filepath.Join(t.TempDir(), "data"))
	must(t, err)
	if acct.uid == 0 || acct.drop != (os.Geteuid() == 0) {
		t.Errorf("account is %+v", acct)
	}
	if os.Geteuid() != 0 {
		return
	}
	data := t.TempDir()
	must(t, os.Chown(data, 12345, 23456))
	acct, err = pickAccount(data)
	must(t, err)
	if acct.uid != 12345 || acct.gid != 23456 || acct.String() != "uid 12345" {
		t.Errorf("owner is %+v", acct)
	}
}
