package grpcapi

import (
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/access"
)

// permission says who may make a call.
type permission struct {
	public bool // anybody, known or not
	// watched calls are public unless only members may watch their raffle: then they need
	// a valid token or certificate, of any role.
	watched bool
	roles   access.Role // who has any of these
	// own calls are about one member, whom memberOf finds: who is a member only may make
	// them for itself, and may leave the member's id out.
	own bool
	// audited calls record who makes them, unless that is the member whom they are about.
	audited bool
}

// permissions has every call of the server; a test fails for one that is missing. A call
// that is not here is refused.
var permissions = map[string]permission{
	rafflev1.RaffleService_GetRaffle_FullMethodName:    {roles: access.Any},
	rafflev1.RaffleService_ListRaffles_FullMethodName:  {roles: access.Any},
	rafflev1.RaffleService_CreateRaffle_FullMethodName: {roles: access.Operator, audited: true},
	rafflev1.RaffleService_UpdateRaffle_FullMethodName: {roles: access.Operator, audited: true},
	rafflev1.RaffleService_CloseRaffle_FullMethodName:  {roles: access.Operator, audited: true},
	rafflev1.RaffleService_CancelRaffle_FullMethodName: {roles: access.Operator, audited: true},

	rafflev1.RaffleService_DrawRaffle_FullMethodName:   {roles: access.Operator, audited: true},
	rafflev1.RaffleService_StrikeWinner_FullMethodName: {roles: access.Operator, audited: true},
	rafflev1.RaffleService_RedrawRaffle_FullMethodName: {roles: access.Operator, audited: true},
	rafflev1.RaffleService_PurgeRaffle_FullMethodName:  {roles: access.Operator, audited: true},
	// Everybody may check a draw who may watch the raffle. None of these tells of a member;
	// see winnersWithMembers.
	rafflev1.RaffleService_GetDraw_FullMethodName:       {public: true, watched: true},
	rafflev1.RaffleService_ListWinners_FullMethodName:   {public: true, watched: true},
	rafflev1.RaffleService_GetTicket_FullMethodName:     {public: true, watched: true},
	rafflev1.RaffleService_GetCheckpoint_FullMethodName: {public: true, watched: true},
	rafflev1.RaffleService_GetLog_FullMethodName:        {public: true, watched: true},

	rafflev1.ParticipationService_GetOdds_FullMethodName: {roles: access.Any},
	rafflev1.ParticipationService_Enter_FullMethodName:   {roles: access.Member | access.Backend, own: true},
	// Each of its messages is checked as Enter is.
	rafflev1.ParticipationService_EnterStream_FullMethodName: {roles: access.Member | access.Backend, own: true},
	rafflev1.ParticipationService_Withdraw_FullMethodName:    {roles: access.Member | access.Backend, own: true, audited: true},
	rafflev1.ParticipationService_ListEntries_FullMethodName: {roles: access.Any, own: true},

	rafflev1.AuditService_ListAuditEvents_FullMethodName: {roles: access.Operator},

	// Whoever supervises the service has no token.
	healthv1.Health_Check_FullMethodName: {public: true},
	healthv1.Health_List_FullMethodName:  {public: true},
	healthv1.Health_Watch_FullMethodName: {public: true},

	reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName:      {roles: access.Any},
	reflectionv1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: {roles: access.Any},
}

// winnersWithMembers is who may list winners with their member ids.
var winnersWithMembers = permission{roles: access.Operator}

// permissionOf returns who may make a call with a request, and false if the call is not
// in the table.
func permissionOf(fullMethod string, req any) (permission, bool) {
	if list, ok := req.(*rafflev1.ListWinnersRequest); ok && list.GetWithMembers() {
		return winnersWithMembers, true
	}
	p, ok := permissions[fullMethod]
	return p, ok
}

// memberOf returns where a request holds the id of the member that it is about, or nil.
func memberOf(req any) *string {
	switch r := req.(type) {
	case *rafflev1.EnterRequest:
		return &r.MemberId
	case *rafflev1.WithdrawRequest:
		return &r.MemberId
	case *rafflev1.ListEntriesRequest:
		return &r.MemberId
	}
	return nil
}

// isForItself reports whether a caller who may make a call may make it for itself only.
func isForItself(who *access.Identity, p permission) bool {
	return p.own && !who.Has(p.roles&^access.Member)
}

// permit checks that a caller may make a call with a request. If it is about a member
// and does not say about whom, it is about the caller. req is nil for a stream.
func permit(who *access.Identity, p permission, req any) error {
	if !who.Has(p.roles) {
		return &access.RoleError{Needed: p.roles}
	}
	if !isForItself(who, p) {
		return nil
	}
	member := memberOf(req)
	switch {
	case member == nil:
	case *member == "":
		*member = who.Subject
	case *member != who.Subject:
		return access.ErrOtherMember
	}
	return nil
}
