//go:build unix

package localpg

import (
	"os"
	"testing"
	"time"
)

func TestTempIsRemoved(t *testing.T) {
	t.Parallel()
	cfg := Config{Binaries: binaries(t), Log: logger(t), Settings: map[string]string{"max_connections": "50"}}
	begun := time.Now()
	s, err := StartTemp(t.Context(), cfg)
	must(t, err)
	t.Logf("temporary server after %v", time.Since(begun))
	for sql, want := range map[string]string{"SHOW fsync": "off", "SHOW max_connections": "50"} {
		var got string
		must(t, query(t.Context(), s.URL(), sql, &got))
		if got != want {
			t.Errorf("%s is %q, want %q", sql, got, want)
		}
	}
	must(t, s.Stop(t.Context()))
	if _, err := os.Stat(s.place.dir); err == nil {
		t.Errorf("%s remains", s.place.dir)
	}
}

func TestTempOfAFailedStartIsRemoved(t *testing.T) {
	cfg := Config{Binaries: binaries(t), Settings: map[string]string{"max_connections": "many"}}
	t.Setenv("TMPDIR", openTemp(t))
	_, err := StartTemp(t.Context(), cfg)
	wantError(t, err, "many")
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("%v remains", left)
	}
}

func TestTempOfAKilledRunIsSwept(t *testing.T) {
	t.Parallel()
	binaries(t)
	live := startHelper(t, "temp", "")
	dead := startHelper(t, "temp", "")
	dead.kill(t)
	sweep(t.Context(), os.TempDir())
	if _, err := os.Stat(dead.dir); err == nil {
		t.Errorf("%s remains", dead.dir)
	}
	must(t, query(t.Context(), live.url, "SELECT 1"))
}
