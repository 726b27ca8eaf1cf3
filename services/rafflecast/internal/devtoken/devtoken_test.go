package devtoken

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/config"
)

func TestRun_MakesTokensThatServicesAccept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	token := func(subject, scope string) string {
		var out, log bytes.Buffer
		var cfg Config
		config.SetDefaults(&cfg)
		cfg.Dir, cfg.Subject, cfg.Scope = dir, subject, scope
		if err := Run(cfg, &out, &log); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out.String())
	}
	member := token("7", "member")
	private, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || private.Mode().Perm() != 0o600 {
		t.Errorf("the private key: %v, %v", private.Mode(), err)
	}
	operator := token("ann", "operator member") // with the same key

	var s access.Settings
	config.SetDefaults(&s)
	s.JWKS, s.Issuer = filepath.Join(dir, jwksFile), "rafflecast-development"
	tokens, err := access.NewTokens(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		token, subject string
		roles          access.Role
	}{{member, "7", access.Member}, {operator, "ann", access.Operator | access.Member}} {
		who, err := tokens.Verify(t.Context(), c.token)
		if err != nil || who.Subject != c.subject || who.Roles != c.roles || time.Until(who.Expires) < 11*time.Hour {
			t.Errorf("%s: %+v, %v", c.subject, who, err)
		}
	}
	set, err := os.ReadFile(filepath.Join(dir, jwksFile))
	if err != nil || strings.Contains(string(set), `"d"`) {
		t.Errorf("the private key is in the set: %s, %v", set, err)
	}
}
