package localpg

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStart_RefusesDataOfOtherVersion(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	must(t, os.WriteFile(filepath.Join(cfg.Dir, "data", "PG_VERSION"), []byte("9.6\n"), 0o600))
	_, err := Start(t.Context(), cfg)
	wantError(t, err, cfg.Dir, "was initialized by PostgreSQL version 9.6")
}

func TestStart_RefusesOtherFiles(t *testing.T) {
	t.Parallel()
	cfg := setupEmpty(t)
	data := filepath.Join(cfg.Dir, "data")
	must(t, os.MkdirAll(data, 0o755))
	must(t, os.WriteFile(filepath.Join(data, "letter.txt"), nil, 0o600))
	_, err := Start(t.Context(), cfg)
	wantError(t, err, data)
	if !exists(filepath.Join(data, "letter.txt")) {
		t.Error("a file was removed")
	}
}

func TestStart_RefusesDataOfOtherUser(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	must(t, os.Chown(filepath.Join(cfg.Dir, "data"), 0, 0)) // root cannot run PostgreSQL either
	_, err := Start(t.Context(), cfg)
	wantError(t, err, cfg.Dir, "Permission denied")
}

func TestStart_FillsEmptyDataDirectory(t *testing.T) {
	t.Parallel()
	cfg := setupEmpty(t)
	must(t, os.MkdirAll(filepath.Join(cfg.Dir, "data"), 0o755))
	cfg.Binaries = fakeProgram(t, "initdb", "echo initdb was called; exit 1")
	_, err := Start(t.Context(), cfg)
	wantError(t, err, "initdb was called")
}

func TestStart_EmptiesLargeLog(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	log := filepath.Join(cfg.Dir, "postgres.log")
	must(t, os.WriteFile(log, nil, 0o600))
	must(t, os.Truncate(log, maxLogSize+1))
	startServer(t, cfg)
	if info, err := os.Stat(log); err != nil || info.Size() > 1<<20 {
		t.Errorf("%v, %v", info, err)
	}
}

// setupUnreachable returns a configuration whose directory only root can enter, as a clone under
// /root.
func setupUnreachable(t *testing.T) Config {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root runs PostgreSQL as another user")
	}
	cfg := setupEmpty(t)
	must(t, os.Mkdir(cfg.Dir, 0o700))
	cfg.Dir = filepath.Join(cfg.Dir, "clone", "pg")
	cfg.sharedDir = filepath.Join(openTemp(t), "shared")
	return cfg
}

func TestStart_RelocatesUnreachableFiles(t *testing.T) {
	t.Parallel()
	cfg := setupUnreachable(t)
	s, err := Start(t.Context(), cfg)
	must(t, err)
	must(t, query(t.Context(), s.URL(), makeTable))
	_, err = Start(t.Context(), cfg)
	wantError(t, err, cfg.Dir, "in use")
	must(t, s.Stop(t.Context()))
	checkNothingLeft(t, s.dir)
	if filepath.Dir(s.dir) != cfg.sharedDir {
		t.Errorf("files are in %s", s.dir)
	}
	info, err := os.Stat(filepath.Dir(filepath.Dir(cfg.Dir)))
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the parent is now %v", info.Mode())
	}
	again := startServer(t, cfg)
	must(t, query(t.Context(), again.URL(), readTable))
}

func TestStart_RecreatesRelocatedFiles(t *testing.T) {
	t.Parallel()
	cfg := setupUnreachable(t)
	must(t, os.MkdirAll(cfg.Dir, 0o755))
	must(t, os.Symlink(filepath.Join(cfg.sharedDir, "removed"), filepath.Join(cfg.Dir, "relocated")))
	startServer(t, cfg)
}

func TestStart_RefusesToAbandonData(t *testing.T) {
	t.Parallel()
	cfg := setupUnreachable(t)
	copyTemplate(t, cfg.Dir)
	_, err := Start(t.Context(), cfg)
	wantError(t, err, cfg.Dir, "cannot reach")
}

func TestStart_ReportsUnusableSharedDirectory(t *testing.T) {
	t.Parallel()
	cfg := setupUnreachable(t)
	cfg.sharedDir = "/proc/nowhere"
	_, err := Start(t.Context(), cfg)
	wantError(t, err, cfg.Dir, "/proc/nowhere")
}

func TestStartTemp_RemovesRelocatedFiles(t *testing.T) {
	cfg := setupUnreachable(t)
	must(t, os.MkdirAll(cfg.Dir, 0o755))
	t.Setenv("TMPDIR", cfg.Dir)
	dir := cfg.Dir
	cfg.Dir = ""
	s, err := StartTemp(t.Context(), cfg)
	must(t, err)
	must(t, s.Stop(t.Context()))
	for _, parent := range []string{dir, cfg.sharedDir} {
		if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
			t.Errorf("left in %s: %v, %v", parent, left, err)
		}
	}
}

func TestPickAccount_PrefersOwnerOfData(t *testing.T) {
	t.Parallel()
	acct, err := pickAccount(filepath.Join(t.TempDir(), "data"))
	must(t, err)
	if acct.uid == 0 || acct.isRoot != (os.Geteuid() == 0) {
		t.Errorf("account is %+v", acct)
	}
	if os.Geteuid() != 0 {
		return
	}
	data := t.TempDir()
	must(t, os.Chown(data, 12345, 23456))
	acct, err = pickAccount(data)
	must(t, err)
	if acct.uid != 12345 || acct.gid != 23456 || acct.name != "uid 12345" {
		t.Errorf("account is %+v", acct)
	}
}
