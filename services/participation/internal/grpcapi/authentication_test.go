package grpcapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcmetadata "google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// authenticated is a bundle whose callers are authenticated, and the key of their tokens.
type authenticated struct {
	*testBundle
	key *tokentest.Key
}

// setupAuthenticated is setup with authentication.
func setupAuthenticated(t *testing.T, changes ...func(*Config)) *authenticated {
	t.Helper()
	key := tokentest.NewKey(t, "1")
	var s access.Settings
	config.SetDefaults(&s)
	s.JWKS, s.Issuer, s.Leeway = tokentest.File(t, key), tokentest.Issuer, 0
	tokens, err := access.NewTokens(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { tokens.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return &authenticated{setup(t, func(c *Config) {
		c.Access = &Access{Tokens: tokens}
		for _, change := range changes {
			change(c)
		}
	}), key}
}

// as returns the context of calls with a token.
func (a *authenticated) as(t *testing.T, subject, scope string, claims ...map[string]any) context.Context {
	t.Helper()
	return bearing(t.Context(), a.key.Token(subject, scope, claims...))
}

func bearing(ctx context.Context, token string) context.Context {
	return grpcmetadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// call makes a call of the contract with an empty request, which no rule accepts: with
// enough rights it fails with INVALID_ARGUMENT or succeeds.
func (b *testBundle) call(ctx context.Context, method string) error {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(method[1:], "/", ".")))
	if err != nil {
		return err
	}
	descriptor := found.(protoreflect.MethodDescriptor)
	in, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.Input().FullName())
	if err != nil {
		return err
	}
	out, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.Output().FullName())
	if err != nil {
		return err
	}
	if !descriptor.IsStreamingClient() {
		return b.conn.Invoke(ctx, method, in.New().Interface(), out.New().Interface())
	}
	stream, err := b.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(out.New().Interface()); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func TestAuthentication_AdmitsByRole(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	const none access.Role = 0
	scopes := map[access.Role]string{none: "openid", access.Member: "member", access.Backend: "backend", access.Operator: "operator"}
	for method, p := range permissions {
		if !strings.HasPrefix(method, "/raffle.") {
			continue
		}
		if p.public {
			if code := status.Code(a.call(t.Context(), method)); code == codes.Unauthenticated || code == codes.PermissionDenied {
				t.Errorf("%s, which everybody may make: %v", method, code)
			}
			continue
		}
		wantError(t, a.call(t.Context(), method), codes.Unauthenticated, "TOKEN_MISSING")
		for role, scope := range scopes {
			err := a.call(a.as(t, "7", scope), method)
			if role&p.roles != 0 {
				if code := status.Code(err); code != codes.OK && code != codes.InvalidArgument {
					t.Errorf("%s as %s: %v", method, scope, err)
				}
				continue
			}
			st := wantError(t, err, codes.PermissionDenied, "ROLE_MISSING")
			if got := detail[errdetails.ErrorInfo](st).GetMetadata()["role"]; got != p.roles.String() {
				t.Errorf("%s as %s: metadata %q", method, scope, got)
			}
		}
	}
}

func TestAuthentication_LeavesHealthOpen(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	if _, err := healthv1.NewHealthClient(a.conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	reflect := func(ctx context.Context) error {
		stream, err := reflectionv1.NewServerReflectionClient(a.conn).ServerReflectionInfo(ctx)
		if err != nil {
			return err
		}
		// If it fails, the server has ended the stream, and Recv says why.
		_ = stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
		_, err = stream.Recv()
		return err
	}
	wantError(t, reflect(t.Context()), codes.Unauthenticated, "TOKEN_MISSING")
	if err := reflect(a.as(t, "7", "member")); err != nil {
		t.Error(err)
	}
}

func TestAuthentication_SaysWhatIsWrongWithAToken(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	get := func(ctx context.Context) error {
		_, err := a.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: 1})
		return err
	}
	expired := map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}
	wantError(t, get(a.as(t, "7", "member", expired)), codes.Unauthenticated, "TOKEN_EXPIRED")
	wantError(t, get(a.as(t, "7", "member", map[string]any{"aud": "x"})), codes.Unauthenticated, "TOKEN_INVALID")
	wantError(t, get(bearing(t.Context(), tokentest.NewKey(t, "2").Token("7", "member"))), codes.Unauthenticated, "TOKEN_INVALID")
	wantError(t, get(grpcmetadata.AppendToOutgoingContext(t.Context(), "authorization", "Basic YTpi")), codes.Unauthenticated, "TOKEN_INVALID")
	wantError(t, get(bearing(a.as(t, "7", "member"), "x")), codes.Unauthenticated, "TOKEN_INVALID") // two of them
	if err := get(a.as(t, "7", "member")); err != nil {
		t.Error(err)
	}
}

func TestAuthentication_MembersActForThemselves(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	enter := func(ctx context.Context, id string) error {
		_, err := a.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: id})
		return err
	}
	withdraw := func(ctx context.Context, id string) error {
		_, err := a.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 1, MemberId: id})
		return err
	}
	list := func(ctx context.Context, id string) error {
		_, err := a.entries.ListEntries(ctx, &rafflev1.ListEntriesRequest{RaffleId: 1, MemberId: id})
		return err
	}
	stream := func(ctx context.Context, id string) error {
		s, err := a.entries.EnterStream(ctx)
		if err != nil {
			return err
		}
		if err := s.Send(&rafflev1.EnterStreamRequest{Enter: &rafflev1.EnterRequest{RaffleId: 1, MemberId: id}}); err != nil {
			return err
		}
		resp, err := s.Recv()
		if err != nil {
			return err
		}
		return status.FromProto(resp.GetStatus()).Err()
	}
	var lastMember string
	a.store.member = func(id string) { lastMember = id }
	for name, call := range map[string]func(context.Context, string) error{"Enter": enter, "Withdraw": withdraw, "ListEntries": list, "EnterStream": stream} {
		for _, c := range []struct {
			as       string
			id, want string // want is "" if the call is denied
		}{
			{"member", "", "7"}, {"member", "7", "7"}, {"member", "8", ""}, {"backend", "8", "8"}, {"member backend", "8", "8"},
		} {
			lastMember = ""
			err := call(a.as(t, "7", c.as), c.id)
			if c.want == "" {
				wantError(t, err, codes.PermissionDenied, "OTHER_MEMBER")
			} else if err != nil {
				t.Errorf("%s for %q: %v", name, c.id, err)
			}
			if lastMember != c.want {
				t.Errorf("%s for %q reaches the store for %q, want %q", name, c.id, lastMember, c.want)
			}
		}
		if name != "ListEntries" { // which then lists all
			wantError(t, call(a.as(t, "7", "backend"), ""), codes.InvalidArgument, "INVALID")
		}
	}
}

func TestAuthentication_StreamsEndWithTheToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := setupAuthenticated(t)
		expires := time.Now().Add(2 * time.Second) // a whole second, as a bubble begins with one
		soon := a.as(t, "7", "member", map[string]any{"exp": expires.Unix()})
		entries, err := a.entries.EnterStream(soon)
		if err != nil {
			t.Fatal(err)
		}
		reflection, err := reflectionv1.NewServerReflectionClient(a.conn).ServerReflectionInfo(soon)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := entries.Recv()
		if err != nil || resp.GetEnding().GetReason() != rafflev1.StreamEnding_CREDENTIALS_EXPIRED {
			t.Errorf("first %v, %v", resp, err)
		}
		if _, err := entries.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("the stream ended with %v", err)
		}
		_, err = reflection.Recv()
		wantError(t, err, codes.Unauthenticated, "TOKEN_EXPIRED")
		if late := time.Since(expires); late != 0 {
			t.Errorf("the streams ended %v after the token", late)
		}
	})
}

func BenchmarkAuthentication(b *testing.B) {
	key := tokentest.NewKey(b, "1")
	var s access.Settings
	config.SetDefaults(&s)
	s.JWKS, s.Issuer = tokentest.File(b, key), tokentest.Issuer
	tokens, err := access.NewTokens(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	a := &authentication{Access{Tokens: tokens}}
	ctx := grpcmetadata.NewIncomingContext(b.Context(), grpcmetadata.Pairs("authorization", "Bearer "+key.Token("7", "member")))
	info := &grpc.UnaryServerInfo{FullMethod: rafflev1.ParticipationService_Enter_FullMethodName}
	req := &rafflev1.EnterRequest{RaffleId: 1}
	for b.Loop() {
		if _, err := a.unary(ctx, req, info, func(context.Context, any) (any, error) { return nil, nil }); err != nil { //nolint:nilnil // neither is looked at
			b.Fatal(err)
		}
	}
}

// Everybody may list winners, but only operators with their member ids.
func TestAuthentication_ProtectsTheMembersOfWinners(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	list := func(ctx context.Context) error {
		_, err := a.raffles.ListWinners(ctx, &rafflev1.ListWinnersRequest{RaffleId: 1, WithMembers: true})
		return err
	}
	wantError(t, list(t.Context()), codes.Unauthenticated, "TOKEN_MISSING")
	for _, scope := range []string{"member", "backend"} {
		wantError(t, list(a.as(t, "7", scope)), codes.PermissionDenied, "ROLE_MISSING")
	}
	if code := status.Code(list(a.as(t, "ann", "operator"))); code == codes.Unauthenticated || code == codes.PermissionDenied {
		t.Errorf("an operator: %v", code)
	}
}

// What is known of a raffle that only members may watch is for who brings a token.
func TestAuthentication_KeepsDrawsOfMembersOnlyRafflesFromOthers(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t)
	calls := map[string]func(context.Context) error{
		"GetDraw": func(ctx context.Context) error {
			_, err := a.raffles.GetDraw(ctx, &rafflev1.GetDrawRequest{RaffleId: 1})
			return err
		},
		"ListWinners": func(ctx context.Context) error {
			_, err := a.raffles.ListWinners(ctx, &rafflev1.ListWinnersRequest{RaffleId: 1})
			return err
		},
		"GetTicket": func(ctx context.Context) error {
			_, err := a.raffles.GetTicket(ctx, &rafflev1.GetTicketRequest{RaffleId: 1})
			return err
		},
		"GetCheckpoint": func(ctx context.Context) error {
			_, err := a.raffles.GetCheckpoint(ctx, &rafflev1.GetCheckpointRequest{RaffleId: 1})
			return err
		},
		"GetLog": func(ctx context.Context) error {
			_, err := a.raffles.GetLog(ctx, &rafflev1.GetLogRequest{RaffleId: 1})
			return err
		},
	}
	isRefused := func(err error) bool {
		code := status.Code(err)
		return code == codes.Unauthenticated || code == codes.PermissionDenied
	}
	for method, p := range permissions {
		if _, ok := calls[method[strings.LastIndex(method, "/")+1:]]; ok != p.watched {
			t.Errorf("%s: %+v", method, p)
		}
	}
	invalid := bearing(t.Context(), "not.a.token")
	for visibility, private := range map[raffle.Visibility]bool{raffle.Public: false, raffle.Members: true} {
		a.store.visibility = visibility
		for name, call := range calls {
			if err := call(t.Context()); isRefused(err) != private {
				t.Errorf("%s, for members: %t: %v", name, private, err)
			}
			if err := call(invalid); isRefused(err) != private {
				t.Errorf("%s with an invalid token, for members: %t: %v", name, private, err)
			}
			if err := call(a.as(t, "7", "member")); isRefused(err) {
				t.Errorf("%s as a member: %v", name, err)
			}
		}
	}
	a.store.visibility = raffle.Members
	wantError(t, calls["GetDraw"](t.Context()), codes.Unauthenticated, "TOKEN_MISSING")
	wantError(t, calls["GetDraw"](invalid), codes.Unauthenticated, "TOKEN_INVALID")
}
