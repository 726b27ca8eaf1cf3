package access_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// settings returns the settings for tokens of tokentest whose keys come from a source.
func settings(jwks string) *access.Settings {
	var s access.Settings
	config.SetDefaults(&s)
	s.JWKS, s.Issuer = jwks, tokentest.Issuer
	return &s
}

// start returns what verifies tokens, with its keys kept up to date until the test ends.
func start(t *testing.T, s *access.Settings) *access.Tokens {
	t.Helper()
	tokens, err := access.NewTokens(s, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { tokens.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return tokens
}

func TestTokens_GiveRolesByScope(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := start(t, settings(tokentest.File(t, key)))
	for _, c := range []struct {
		scope string
		other map[string]any
		want  access.Role
	}{
		{"member", nil, access.Member},
		{"openid backend", nil, access.Backend},
		{"operator member", nil, access.Operator | access.Member},
		{"openid", nil, 0},
		{"*", nil, 0},
		{"", map[string]any{"scope": []string{"operator"}}, access.Operator},
		{"", map[string]any{"scp": []string{"backend", "member"}}, access.Backend | access.Member},
	} {
		who, err := tokens.Verify(t.Context(), key.Token("7", c.scope, c.other))
		if err != nil || who.Subject != "7" || who.Roles != c.want {
			t.Errorf("%q: %+v, %v", c.scope, who, err)
		}
	}
}

func TestTokens_AnyTokenIsAMembersIfSettingsSaySo(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	s := settings(tokentest.File(t, key))
	s.MemberScope = "*"
	tokens := start(t, s)
	for scope, want := range map[string]access.Role{"": access.Member, "openid": access.Member, "*": access.Member, "backend": access.Backend, "* backend": access.Backend} {
		if who, err := tokens.Verify(t.Context(), key.Token("7", scope)); err != nil || who.Roles != want {
			t.Errorf("%q: %+v, %v", scope, who, err)
		}
	}
}

func TestTokens_RefuseWhatIsNotPinned(t *testing.T) {
	t.Parallel()
	key, stranger := tokentest.NewKey(t, "1"), tokentest.NewKey(t, "1")
	tokens := start(t, settings(tokentest.File(t, key)))
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	good := key.Token("7", "member")
	signed := strings.Split(good, ".")
	forged := func(header string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + signed[1] + "." + signed[2]
	}
	claims := jwt.MapClaims{"iss": tokentest.Issuer, "aud": tokentest.Audience, "sub": "7", "exp": time.Now().Add(time.Hour).Unix()}
	withSecret := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	withSecret.Header["kid"] = "1"
	hmac, err := withSecret.SignedString(der)
	if err != nil {
		t.Fatal(err)
	}
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"of another key with the id":   stranger.Token("7", "member"),
		"of a key that is not known":   tokentest.NewKey(t, "2").Token("7", "member"),
		"of another issuer":            key.Token("7", "member", map[string]any{"iss": "https://issuer.test/"}),
		"without issuer":               key.Token("7", "member", map[string]any{"iss": nil}),
		"for another audience":         key.Token("7", "member", map[string]any{"aud": "other"}),
		"without audience":             key.Token("7", "member", map[string]any{"aud": nil}),
		"without expiry":               key.Token("7", "member", map[string]any{"exp": nil}),
		"without subject":              key.Token("", "member"),
		"with a long subject":          key.Token(strings.Repeat("x", 256), "member"),
		"with a NUL in its subject":    key.Token("a\x00b", "operator"), // PostgreSQL can't store it
		"with a line end in it":        key.Token("a\nb", "operator"),
		"with a subject that turns":    key.Token("a\u202eb", "operator"),
		"with a hidden subject":        key.Token("a\u200bb", "operator"),
		"not valid yet":                key.Token("7", "member", map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
		"signed with the public key":   hmac,
		"not signed":                   none,
		"with an algorithm of no sort": forged(`{"alg":"ES512","kid":"1"}`),
		"with an extension":            key.Sign(claims, map[string]any{"crit": []string{"b64"}}),
		"with a name for an algorithm": forged(`{"alg":"marked","kid":"1"}`),
		"with a changed claim":         signed[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"8"}`)) + "." + signed[2],
		"cut off":                      good[:len(good)-10],
		"too long":                     key.Token("7", "member", map[string]any{"more": strings.Repeat("x", 10_000)}),
		"in another encoding":          signed[0] + "." + signed[1] + "." + withOtherBits(signed[2]),
		"empty":                        "",
		"text":                         "no token at all",
	} {
		who, err := tokens.Verify(t.Context(), token)
		if _, ok := errors.AsType[*access.InvalidError](err); !ok || who != nil {
			t.Errorf("a token %s: %+v, %v", name, who, err)
		} else if token != "" && strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "marked") {
			t.Errorf("a token %s is in the error %q", name, err)
		}
	}
	if _, err := tokens.Verify(t.Context(), "a.b"); err == nil || err.Error() != "the token is not a JWT" { // the library's words may quote it
		t.Error(err)
	}
	for _, token := range []string{good, key.Token("Ann Müller, auth0|5f", "member"), key.Token(strings.Repeat("x", 255), "member")} {
		if _, err := tokens.Verify(t.Context(), token); err != nil {
			t.Errorf("a good token: %v", err)
		}
	}
}

// withOtherBits returns another text that decoders which are not strict read as the same
// bytes: of the last character of a signature, only the first two bits count.
func withOtherBits(signature string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(signature) - 1
	return signature[:last] + string(digits[strings.IndexByte(digits, signature[last])^1])
}

func TestTokens_ExpireAfterTheLeeway(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	s := settings(tokentest.File(t, key))
	s.Leeway = time.Minute
	tokens := start(t, s)
	ago := func(d time.Duration) map[string]any { return map[string]any{"exp": time.Now().Add(-d).Unix()} }
	within := ago(30 * time.Second)
	if who, err := tokens.Verify(t.Context(), key.Token("7", "member", within)); err != nil {
		t.Errorf("within the leeway: %v", err)
	} else if want := within["exp"].(int64) + 60; who.Expires.Unix() != want { // the end of streams
		t.Errorf("within the leeway it expires at %d, want %d", who.Expires.Unix(), want)
	}
	if _, err := tokens.Verify(t.Context(), key.Token("7", "member", ago(2*time.Minute))); !errors.Is(err, access.ErrExpired) {
		t.Errorf("after the leeway: %v", err)
	}
	soon := key.Token("7", "member", ago(58*time.Second)) // remembered, and then too old
	if _, err := tokens.Verify(t.Context(), soon); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "a remembered token expires", 10*time.Second, func() bool {
		_, err := tokens.Verify(t.Context(), soon)
		return errors.Is(err, access.ErrExpired)
	})
}

// The leeway counts at both ends of a token's time, to the second.
func TestTokens_AreValidWithinTheLeeway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := tokentest.NewKey(t, "1")
		s := settings(tokentest.File(t, key))
		s.Leeway = time.Minute
		tokens, err := access.NewTokens(s, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		from := time.Now() // a whole second, as a bubble begins with one
		with := func(claim string, after time.Duration) string {
			return key.Token("7", "member", map[string]any{claim: from.Add(after).Unix()})
		}
		for _, c := range []struct {
			claim   string
			after   time.Duration // from now
			isValid bool
		}{
			{"exp", -59 * time.Second, true},
			{"exp", -60 * time.Second, false},
			{"nbf", 60 * time.Second, true},
			{"nbf", 61 * time.Second, false},
			// From when a token is valid is said by nbf: iat tells its age only.
			// https://www.rfc-editor.org/rfc/rfc7519#section-4.1.6
			{"iat", time.Hour, true},
		} {
			if _, err := tokens.Verify(t.Context(), with(c.claim, c.after)); (err == nil) != c.isValid {
				t.Errorf("with %s %v from now: %v", c.claim, c.after, err)
			}
		}
		remembered := with("exp", 0)
		for _, c := range []struct {
			after time.Duration
			want  error
		}{{0, nil}, {time.Minute - 1, nil}, {time.Minute + 1, access.ErrExpired}} {
			time.Sleep(time.Until(from.Add(c.after)))
			if _, err := tokens.Verify(t.Context(), remembered); !errors.Is(err, c.want) {
				t.Errorf("a remembered token, %v after its end: %v", c.after, err)
			}
		}
	})
}

// A token need not name its key, whether or not the keys have ids.
func TestTokens_WithoutKeyID(t *testing.T) {
	t.Parallel()
	key, other := tokentest.NewKey(t, ""), tokentest.NewKey(t, "2")
	tokens := start(t, settings(tokentest.File(t, key, other)))
	for name, token := range map[string]string{
		"of a key without one": key.Token("7", "member"),
		"of a key with one": other.Sign(jwt.MapClaims{
			"iss": tokentest.Issuer, "aud": tokentest.Audience, "sub": "7", "exp": time.Now().Add(time.Hour).Unix(),
		}, map[string]any{"kid": ""}),
	} {
		if _, err := tokens.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokens_LogNoToken(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	key := tokentest.NewKey(t, "1")
	tokens, err := access.NewTokens(settings(tokentest.File(t, key)), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = tokens.Verify(t.Context(), key.Token("7", "member", map[string]any{"aud": "x"}))
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
}

func TestSettings_SayWhatIsWrong(t *testing.T) {
	t.Parallel()
	file := tokentest.File(t, tokentest.NewKey(t, "1"))
	empty := file + ".empty"
	if err := os.WriteFile(empty, []byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"1"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for flag, change := range map[string]func(*access.Settings){
		"--auth-jwks":         func(s *access.Settings) { s.JWKS = empty },
		"--auth-jwks=/":       func(s *access.Settings) { s.JWKS = "/nonexistent" },
		"--auth-jwks=ftp":     func(s *access.Settings) { s.JWKS = "ftp://a/b" },
		"--auth-issuer":       func(s *access.Settings) { s.Issuer = "" },
		"--auth-algorithms":   func(s *access.Settings) { s.Algorithms = "ES256,HS256" },
		"--auth-algorithms=n": func(s *access.Settings) { s.Algorithms = "none" },
		"--auth-backend-sc":   func(s *access.Settings) { s.BackendScope = "*" },
		"--auth-member-scope": func(s *access.Settings) { s.MemberScope = "a b" },
		// One of the roles would take the place of the other.
		"--auth-backend-scope=a":  func(s *access.Settings) { s.MemberScope, s.BackendScope = "a", "a" },
		"--auth-operator-scope=a": func(s *access.Settings) { s.MemberScope, s.OperatorScope = "a", "a" },
		"--auth-operator-scope=b": func(s *access.Settings) { s.BackendScope, s.OperatorScope = "b", "b" },
	} {
		s := settings(file)
		change(s)
		if err := config.Validate(s); err == nil || !strings.HasPrefix(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
	if err := config.Validate(settings(file)); err != nil {
		t.Error(err)
	}
	if err := config.Validate(settings("ftp://user:secret@localhost/keys")); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a password in the URL: %v", err)
	}
}

func TestBearer_ReadsOneHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		headers []string
		want    string
	}{
		{[]string{"Bearer a.b.c"}, "a.b.c"},
		{[]string{"bearer  a"}, "a"},
		{[]string{"Basic YTpi"}, ""},
		{[]string{"Bearer"}, ""},
		{[]string{"Bearer "}, ""},
		{[]string{"a.b.c"}, ""},
		{nil, ""},
		{[]string{"Bearer a", "Bearer b"}, ""},
	} {
		if got, err := access.Bearer(c.headers); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v", c.headers, got, err)
		}
	}
}
