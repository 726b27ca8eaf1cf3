package grpcapi

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/health"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/rafflecast/rafflecast/services/internal/access"
)

// Every call of the server must be in the table, and the table has no other.
func TestPermissions_HaveEveryCall(t *testing.T) {
	t.Parallel()
	store := &fakeStore{}
	server, err := NewServer(store, store, Config{
		Health: health.NewServer(), PageTokenKey: func() []byte { return nil }, Registry: prometheus.NewRegistry(), Log: slog.Default(),
	})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for service, info := range server.GetServiceInfo() {
		for _, method := range info.Methods {
			name := "/" + service + "/" + method.Name
			known[name] = true
			p, ok := permissions[name]
			if !ok {
				t.Errorf("%s has no row in permissions", name)
			}
			if p.public == (p.roles != 0) {
				t.Errorf("%s: %+v must be public, or name roles", name, p)
			}
		}
	}
	for name := range permissions {
		if !known[name] {
			t.Errorf("permissions has %s, which the server has not", name)
		}
	}
}

// Who may make each call, written a second time: a slip in the table must not pass.
func TestPermissions_AreWhatTheDesignSays(t *testing.T) {
	t.Parallel()
	const member, backend, operator = access.Member, access.Backend, access.Operator
	want := map[string]permission{
		"/raffle.v1.RaffleService/GetRaffle":     {roles: member | backend | operator},
		"/raffle.v1.RaffleService/ListRaffles":   {roles: member | backend | operator},
		"/raffle.v1.RaffleService/CreateRaffle":  {roles: operator, audited: true},
		"/raffle.v1.RaffleService/UpdateRaffle":  {roles: operator, audited: true},
		"/raffle.v1.RaffleService/CloseRaffle":   {roles: operator, audited: true},
		"/raffle.v1.RaffleService/CancelRaffle":  {roles: operator, audited: true},
		"/raffle.v1.RaffleService/DrawRaffle":    {roles: operator, audited: true},
		"/raffle.v1.RaffleService/StrikeWinner":  {roles: operator, audited: true},
		"/raffle.v1.RaffleService/RedrawRaffle":  {roles: operator, audited: true},
		"/raffle.v1.RaffleService/PurgeRaffle":   {roles: operator, audited: true},
		"/raffle.v1.RaffleService/GetDraw":       {public: true, watched: true},
		"/raffle.v1.RaffleService/ListWinners":   {public: true, watched: true},
		"/raffle.v1.RaffleService/GetTicket":     {public: true, watched: true},
		"/raffle.v1.RaffleService/GetCheckpoint": {public: true, watched: true},
		"/raffle.v1.RaffleService/GetLog":        {public: true, watched: true},

		"/raffle.v1.ParticipationService/GetOdds":     {roles: member | backend | operator},
		"/raffle.v1.ParticipationService/Enter":       {roles: member | backend, own: true},
		"/raffle.v1.ParticipationService/EnterStream": {roles: member | backend, own: true},
		"/raffle.v1.ParticipationService/Withdraw":    {roles: member | backend, own: true, audited: true},
		"/raffle.v1.ParticipationService/ListEntries": {roles: member | backend | operator, own: true},
		"/raffle.v1.AuditService/ListAuditEvents":     {roles: operator},
	}
	for name, p := range permissions {
		if strings.HasPrefix(name, "/raffle.") && p != want[name] {
			t.Errorf("%s: %+v, want %+v", name, p, want[name])
		}
	}
	for name := range want {
		if _, ok := permissions[name]; !ok {
			t.Errorf("the table has no %s", name)
		}
	}
	if winnersWithMembers != (permission{roles: operator}) {
		t.Errorf("winners with members: %+v", winnersWithMembers)
	}
}

// A call about a member that a member may make must be for itself only.
func TestPermissions_BindMembersToThemselves(t *testing.T) {
	t.Parallel()
	for name, p := range permissions {
		if !strings.HasPrefix(name, "/raffle.") || p.roles&access.Member == 0 {
			continue
		}
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(name[1:], "/", ".")))
		if err != nil {
			t.Fatal(err)
		}
		input := found.(protoreflect.MethodDescriptor).Input()
		if enter := input.Fields().ByName("enter"); enter != nil { // EnterStream
			input = enter.Message()
		}
		message, err := protoregistry.GlobalTypes.FindMessageByName(input.FullName())
		if err != nil {
			t.Fatal(err)
		}
		isAboutOne := input.Fields().ByName("member_id") != nil
		if isAboutOne != p.own || isAboutOne != (memberOf(message.New().Interface()) != nil) {
			t.Errorf("%s: it is about a member: %t, but the table says %+v, and memberOf finds one: %t",
				name, isAboutOne, p, memberOf(message.New().Interface()) != nil)
		}
	}
}
