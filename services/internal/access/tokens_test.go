package access_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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
	for scope, want := range map[string]access.Role{"": access.Member, "openid": access.Member, "backend": access.Backend} {
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
		"not valid yet":                key.Token("7", "member", map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
		"signed with the public key":   hmac,
		"not signed":                   none,
		"with an algorithm of no sort": forged(`{"alg":"ES512","kid":"1"}`),
		"with an extension":            forged(`{"alg":"ES256","kid":"1","crit":["b64"]}`),
		"with a changed claim":         signed[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"8"}`)) + "." + signed[2],
		"cut off":                      good[:len(good)-10],
		"too long":                     good + strings.Repeat("x", 10_000),
		"empty":                        "",
		"text":                         "no token at all",
	} {
		who, err := tokens.Verify(t.Context(), token)
		if _, ok := errors.AsType[*access.InvalidError](err); !ok || who != nil {
			t.Errorf("a token %s: %+v, %v", name, who, err)
		} else if token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("a token %s is in the error %q", name, err)
		}
	}
	if _, err := tokens.Verify(t.Context(), good); err != nil {
		t.Errorf("a good token: %v", err)
	}
}

func TestTokens_ExpireAfterTheLeeway(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	s := settings(tokentest.File(t, key))
	s.Leeway = time.Minute
	tokens := start(t, s)
	ago := func(d time.Duration) map[string]any { return map[string]any{"exp": time.Now().Add(-d).Unix()} }
	if _, err := tokens.Verify(t.Context(), key.Token("7", "member", ago(30*time.Second))); err != nil {
		t.Errorf("within the leeway: %v", err)
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

// What is remembered of a token holds for the keys that it was verified with.
func TestTokens_FollowTheFileOfKeys(t *testing.T) {
	t.Parallel()
	before, after := tokentest.NewKey(t, "1"), tokentest.NewKey(t, "2")
	file := tokentest.File(t, before)
	tokens := start(t, settings(file))
	old, renewed := before.Token("7", "member"), after.Token("7", "member")
	if _, err := tokens.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	write := func(text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("half a f"))
	write(tokentest.JWKS(t, after))
	testenv.Eventually(t, "the new key counts", 10*time.Second, func() bool {
		_, err := tokens.Verify(t.Context(), renewed)
		return err == nil
	})
	if _, err := tokens.Verify(t.Context(), old); err == nil {
		t.Error("the key that was removed still counts")
	}
}

// keyServer serves a JWK set that a test changes.
type keyServer struct {
	*httptest.Server
	text  atomic.Pointer[[]byte] // nil: it fails
	asked atomic.Int64
}

func newKeyServer(t *testing.T) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.asked.Add(1)
		if text := s.text.Load(); text != nil {
			_, _ = w.Write(*text)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) serve(text []byte) { s.text.Store(&text) }

func TestTokens_NeedKeysBeforeTheyVerify(t *testing.T) {
	t.Parallel()
	key, server := tokentest.NewKey(t, "1"), newKeyServer(t)
	tokens := start(t, settings(server.URL))
	token := key.Token("7", "member")
	if _, err := tokens.Verify(t.Context(), token); !errors.Is(err, access.ErrKeysUnavailable) {
		t.Errorf("without keys: %v", err)
	}
	server.serve(tokentest.JWKS(t, key))
	testenv.Eventually(t, "the keys are read", 10*time.Second, func() bool {
		_, err := tokens.Verify(t.Context(), token)
		return err == nil
	})
}

func TestTokens_ReadTheKeysAgainForAnUnknownOne(t *testing.T) {
	t.Parallel()
	before, after, server := tokentest.NewKey(t, "1"), tokentest.NewKey(t, "2"), newKeyServer(t)
	server.serve(tokentest.JWKS(t, before))
	tokens := start(t, settings(server.URL)) // reads every 5 min by itself
	testenv.Eventually(t, "the keys are read", 10*time.Second, func() bool {
		_, err := tokens.Verify(t.Context(), before.Token("7", "member"))
		return err == nil
	})
	server.serve(tokentest.JWKS(t, before, after))
	testenv.Eventually(t, "the new key counts", 10*time.Second, func() bool {
		_, err := tokens.Verify(t.Context(), after.Token("7", "member"))
		return err == nil
	})

	// The keys that are known are used while the URL fails, and a flood of tokens with
	// unknown keys asks it a few times only.
	server.text.Store(nil)
	asked := server.asked.Load()
	stranger := tokentest.NewKey(t, "3")
	for range 200 {
		if _, err := tokens.Verify(t.Context(), stranger.Token("7", "member")); err == nil {
			t.Fatal("a stranger's token is accepted")
		}
	}
	if got := server.asked.Load() - asked; got > 3 {
		t.Errorf("200 tokens with an unknown key made %d requests", got)
	}
	if _, err := tokens.Verify(t.Context(), after.Token("8", "member")); err != nil {
		t.Errorf("while the URL fails: %v", err)
	}
}

func TestTokens_WithoutKeyID(t *testing.T) {
	t.Parallel()
	key, other := tokentest.NewKey(t, ""), tokentest.NewKey(t, "2")
	tokens := start(t, settings(tokentest.File(t, key, other)))
	if _, err := tokens.Verify(t.Context(), key.Token("7", "member")); err != nil {
		t.Error(err)
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

// The keys that were read stay in use, whatever the URL answers instead.
func TestTokens_KeepTheKeysWhileTheURLFails(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string][]byte{
		"an error": nil, "no JSON": []byte("<html>"), "no set": []byte(`{}`), "no keys": []byte(`{"keys":[]}`),
		"a secret only": []byte(`{"keys":[{"kty":"oct","kid":"1","k":"c2VjcmV0"}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, server := tokentest.NewKey(t, "1"), newKeyServer(t)
			server.serve(tokentest.JWKS(t, key))
			s := settings(server.URL)
			s.Refresh = 100 * time.Millisecond
			tokens := start(t, s)
			testenv.Eventually(t, "the keys are read", 10*time.Second, func() bool {
				_, err := tokens.Verify(t.Context(), key.Token("7", "member"))
				return err == nil
			})
			server.text.Store(nil)
			if answer != nil {
				server.serve(answer)
			}
			asked := server.asked.Load()
			testenv.Eventually(t, "the URL was read again", 10*time.Second, func() bool { return server.asked.Load() >= asked+3 })
			if _, err := tokens.Verify(t.Context(), key.Token("8", "member")); err != nil {
				t.Error(err)
			}
		})
	}
}
