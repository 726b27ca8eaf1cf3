package participation_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcmetadata "google.golang.org/grpc/metadata"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// authenticated is a service whose callers are authenticated by tokens and certificates,
// with TLS on both ports.
type authenticated struct {
	*bundle
	key       *tokentest.Key
	authority *testenv.Authority
	dir       string // of the server's files
}

func setupAuthenticated(t *testing.T) *authenticated {
	t.Helper()
	a := &authenticated{bundle: prepare(t), key: tokentest.NewKey(t, "1"), authority: testenv.NewAuthority(t)}
	a.dir = a.authority.Dir()
	a.cfg.Access.JWKS, a.cfg.Access.Issuer = tokentest.File(t, a.key), tokentest.Issuer
	a.cfg.TLS.Certificate, a.cfg.TLS.Key = filepath.Join(a.dir, "tls.crt"), filepath.Join(a.dir, "tls.key")
	a.cfg.TLS.ClientCA = filepath.Join(a.dir, "ca.crt")
	a.cfg.Certificates = "operator=spiffe://example.org/ops,backend=shop.example.org"
	a.start(t)
	return a
}

// dial connects by gRPC, with the certificate for these names if there are any.
func (a *authenticated) dial(t *testing.T, names ...string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(a.at.GRPC.String(), grpc.WithTransportCredentials(credentials.NewTLS(a.clientTLS(names...))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (a *authenticated) clientTLS(names ...string) *tls.Config {
	cfg := &tls.Config{RootCAs: a.authority.Pool()}
	if len(names) > 0 {
		cfg.Certificates = []tls.Certificate{a.authority.Client(names...)}
	}
	return cfg
}

// with returns the context of calls with a token.
func with(ctx context.Context, token string) context.Context {
	return grpcmetadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

func TestAccess_CertificatesAndTokensGiveTheSameRoles(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	create := func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := rafflev1.NewRaffleServiceClient(conn).CreateRaffle(ctx, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
		return err
	}
	nobody, ops, shop, stranger := a.dial(t), a.dial(t, "spiffe://example.org/ops"), a.dial(t, "shop.example.org"), a.dial(t, "other.example.org")
	wantError(t, create(t.Context(), nobody), codes.Unauthenticated, "TOKEN_MISSING")
	wantError(t, create(t.Context(), stranger), codes.Unauthenticated, "TOKEN_MISSING")
	wantError(t, create(t.Context(), shop), codes.PermissionDenied, "ROLE_MISSING")
	wantError(t, create(with(t.Context(), a.key.Token("7", "member")), nobody), codes.PermissionDenied, "ROLE_MISSING")
	// A proxy with a certificate passes the token of its own caller on, which counts.
	wantError(t, create(with(t.Context(), a.key.Token("7", "member")), ops), codes.PermissionDenied, "ROLE_MISSING")
	for name, err := range map[string]error{
		"by certificate": create(t.Context(), ops), "by token": create(with(t.Context(), a.key.Token("ann", "operator")), nobody),
		"by token with a certificate": create(with(t.Context(), a.key.Token("ann", "operator")), shop),
	} {
		if err != nil {
			t.Errorf("an operator %s: %v", name, err)
		}
	}
	_, err := rafflev1.NewParticipationServiceClient(shop).Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7"})
	if err != nil {
		t.Errorf("a backend by certificate: %v", err)
	}

	events, err := rafflev1.NewAuditServiceClient(ops).ListAuditEvents(t.Context(), &rafflev1.ListAuditEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var actors []string
	for _, e := range events.GetEvents() {
		actors = append(actors, e.GetCall()+" by "+e.GetActor())
	}
	slices.Sort(actors)
	want := []string{"CreateRaffle by ann", "CreateRaffle by ann", "CreateRaffle by spiffe://example.org/ops"}
	if !slices.Equal(actors, want) {
		t.Errorf("audited: %q", actors)
	}
}

func TestAccess_HTTPAnswersWithChallenges(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	do := func(method, path, token string, names ...string) (int, http.Header, string) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.clientTLS(names...), ForceAttemptHTTP2: true}}
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+a.at.HTTP.String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.ProtoMajor != 2 {
			t.Errorf("%s %s: %v %s", method, path, err, resp.Proto)
		}
		return resp.StatusCode, resp.Header, string(body)
	}
	const enter = "/api/v1/raffles/1/entries"
	if status, header, body := do("POST", enter, ""); status != 401 || header.Get("WWW-Authenticate") != `Bearer realm="rafflecast"` ||
		!strings.Contains(body, `"reason":"TOKEN_MISSING"`) {
		t.Errorf("without a token: %d %v %s", status, header, body)
	}
	if status, header, body := do("POST", enter, "x"); status != 401 || !strings.Contains(header.Get("WWW-Authenticate"), `error="invalid_token"`) ||
		!strings.Contains(body, `"reason":"TOKEN_INVALID"`) {
		t.Errorf("with another token: %d %v %s", status, header, body)
	}
	if status, _, body := do("POST", enter, "x\ty\xff"); status != 401 || !strings.Contains(body, `"reason":"TOKEN_INVALID"`) {
		t.Errorf("with what is no text: %d %s", status, body)
	}
	member := a.key.Token("7", "member")
	if status, _, body := do("POST", "/api/v1/raffles?title=A&winners=1", member); status != 403 || !strings.Contains(body, `"reason":"ROLE_MISSING"`) {
		t.Errorf("a member creates: %d %s", status, body)
	}
	if status, _, body := do("POST", enter+"?memberId=8", member); status != 403 || !strings.Contains(body, `"reason":"OTHER_MEMBER"`) {
		t.Errorf("a member enters for another: %d %s", status, body)
	}
	if status, _, body := do("POST", "/api/v1/raffles?title=A&winners=1", "", "spiffe://example.org/ops"); status != 200 {
		t.Errorf("an operator by certificate: %d %s", status, body)
	}
	if status, _, body := do("POST", "/api/v1/raffles?title=B&winners=1&visibility=MEMBERS", a.key.Token("ann", "operator")); status != 200 {
		t.Errorf("an operator by token: %d %s", status, body)
	}
	for _, what := range []string{"draw", "winners", "tickets/0", "checkpoint", "log"} { // neither raffle has any of these
		if status, _, body := do("GET", "/api/v1/raffles/1/"+what, ""); status != 400 || !strings.Contains(body, `"reason":"NO_LOG"`) {
			t.Errorf("%s of a raffle for everybody: %d %s", what, status, body)
		}
		if status, _, body := do("GET", "/api/v1/raffles/2/"+what, ""); status != 401 || !strings.Contains(body, `"reason":"TOKEN_MISSING"`) {
			t.Errorf("%s of a raffle for members, without a token: %d %s", what, status, body)
		}
		if status, _, body := do("GET", "/api/v1/raffles/2/"+what, member); status != 400 || !strings.Contains(body, `"reason":"NO_LOG"`) {
			t.Errorf("%s of a raffle for members, as one: %d %s", what, status, body)
		}
	}
	if status, _, body := do("POST", enter, member); status != 200 || !strings.Contains(body, `"memberId":"7"`) {
		t.Errorf("a member enters: %d %s", status, body)
	}
	if status, _, body := do("GET", enter, member); status != 200 || strings.Count(body, `"memberId":"7"`) != 1 {
		t.Errorf("a member's entries: %d %s", status, body)
	}
	if status, _, body := do("GET", "/api/v1/auditEvents", a.key.Token("ann", "operator")); status != 200 || !strings.Contains(body, `"call":"CreateRaffle"`) {
		t.Errorf("audit events: %d %s", status, body)
	}
}

// HTTP/1 takes larger headers than gRPC does.
func TestAccess_HTTPRefusesLargeAndManyTokens(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.clientTLS()}}
	t.Cleanup(client.CloseIdleConnections)
	for name, tokens := range map[string][]string{
		"a large one": {strings.Repeat("x", 17<<10)}, "two": slices.Repeat([]string{strings.Repeat("x", 8<<10)}, 2), "many": slices.Repeat([]string{"x"}, 600),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+a.at.HTTP.String()+"/api/v1/raffles/1/entries", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			req.Header.Add("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), `"reason":"TOKEN_INVALID"`) {
			t.Errorf("%s: %s %s, %v", name, resp.Status, body, err)
		}
	}
}

// What the facade says of its callers can't be said by anybody else.
func TestAccess_MetadataOfTheFacadeIsNotBelieved(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	certificate := a.authority.Client("spiffe://example.org/ops").Certificate[0]
	ctx := grpcmetadata.AppendToOutgoingContext(t.Context(), "rafflecast-certificate-bin", string(certificate))
	_, err := rafflev1.NewRaffleServiceClient(a.dial(t)).CreateRaffle(ctx, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	wantError(t, err, codes.Unauthenticated, "TOKEN_MISSING")
}

func TestAccess_NewCertificatesCountWithoutARestart(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	before := a.dial(t, "spiffe://example.org/ops")
	get := func(conn *grpc.ClientConn) error {
		_, err := rafflev1.NewRaffleServiceClient(conn).ListRaffles(t.Context(), &rafflev1.ListRafflesRequest{})
		return err
	}
	if err := get(before); err != nil {
		t.Fatal(err)
	}
	after := testenv.NewAuthority(t)
	after.WriteDir(a.dir)
	testenv.Eventually(t, "a server with the new certificate answers", 10*time.Second, func() bool {
		dialer := tls.Dialer{Config: &tls.Config{RootCAs: after.Pool()}}
		for _, at := range []net.Addr{a.at.GRPC, a.at.HTTP} {
			dialer.Config.NextProtos = []string{"h2"}
			c, err := dialer.DialContext(t.Context(), "tcp", at.String())
			if err != nil {
				return false
			}
			c.Close()
		}
		return true
	})
	if err := get(before); err != nil {
		t.Errorf("a connection from before: %v", err)
	}
}

func TestConfig_IsClosedUnlessTold(t *testing.T) {
	t.Parallel()
	cfg := participation.DefaultConfig()
	cfg.DatabaseURL = "postgres://127.0.0.1:1/none"
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		open := cfg
		open.GRPCAddress, open.HTTPAddress = address, address
		err := participation.Run(t.Context(), open)
		if err == nil || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), "--grpc-address="+address) ||
			!strings.Contains(err.Error(), "--allow-anonymous") {
			t.Errorf("%s: %v", address, err)
		}
		open.GRPCAddress = "127.0.0.1:0"
		if err := participation.Run(t.Context(), open); err == nil || !strings.Contains(err.Error(), "--http-address="+address) {
			t.Errorf("%s for HTTP: %v", address, err)
		}
		open.HTTPAddress, open.OpsAddress = "127.0.0.1:0", address
		if err := participation.Run(t.Context(), open); err == nil || !strings.Contains(err.Error(), "--ops-address="+address) {
			t.Errorf("%s for operations: %v", address, err)
		}
		open.Access.AllowAnonymous = true
		if err := open.Validate(); err != nil {
			t.Errorf("%s and told: %v", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0", "127.1.2.3:0"} {
		cfg.GRPCAddress, cfg.HTTPAddress = address, address
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// One without the other would be no TLS where the operator believes that there is.
func TestConfig_NeedsBothACertificateAndItsKey(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*participation.Config){
		"--tls-cert (PARTICIPATION_TLS_CERT) has no value": func(c *participation.Config) { c.TLS.Key = "/absent/tls.key" },
		"--tls-key (PARTICIPATION_TLS_KEY) has no value":   func(c *participation.Config) { c.TLS.Certificate = "/absent/tls.crt" },
		"--auth-certificates=operator=ops.example.org":     func(c *participation.Config) { c.Certificates = "operator=ops.example.org" },
	} {
		cfg := participation.DefaultConfig()
		cfg.DatabaseURL = "postgres://127.0.0.1:1/none"
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %s: %v", want, err)
		}
	}
}

func TestConfig_RefusesHostsThatNoRequestIsFor(t *testing.T) {
	t.Parallel()
	cfg := participation.DefaultConfig()
	cfg.DatabaseURL, cfg.Hosts = "postgres://127.0.0.1:1/none", "entries.example.org:9080"
	const want = `--hosts=entries.example.org:9080: must be names like entries.example.org, separated by commas, or *: "entries.example.org:9080" is none`
	if err := cfg.Validate(); err == nil || err.Error() != want {
		t.Errorf("want %s: %v", want, err)
	}
}

func TestConfig_RefusesFilesThatAreMissing(t *testing.T) {
	t.Parallel()
	cfg := participation.DefaultConfig()
	cfg.DatabaseURL = "postgres://127.0.0.1:1/none"
	cfg.TLS.Certificate, cfg.TLS.Key, cfg.Access.JWKS, cfg.Access.Issuer = "/absent/tls.crt", "/absent/tls.key", "/absent/jwks.json", "x"
	err := cfg.Validate()
	if err == nil || !strings.Contains(err.Error(), "--tls-cert=/absent/tls.crt") || !strings.Contains(err.Error(), "--auth-jwks=/absent/jwks.json") {
		t.Error(err)
	}
}
