package connect

import (
	"errors"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/rafflecast/rafflecast/services/internal/command"
)

// answer returns what a service answers with a reason and its metadata, or with
// violations of a request.
func answer(code codes.Code, message, reason string, metadata map[string]string, violations ...string) error {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: "rafflecast", Reason: reason, Metadata: metadata}}
	bad := &errdetails.BadRequest{}
	for i := 0; i+1 < len(violations); i += 2 {
		bad.FieldViolations = append(bad.FieldViolations,
			&errdetails.BadRequest_FieldViolation{Field: violations[i], Description: violations[i+1]})
	}
	st, err := status.New(code, message).WithDetails(append(details, bad)...)
	if err != nil {
		return err
	}
	return st.Err()
}

func TestExplain_OneSentenceAndAnExitCode(t *testing.T) {
	t.Parallel()
	transport := func(cause string) error {
		return status.Error(codes.Unavailable, "connection error: desc = \""+cause+"\"")
	}
	for want, c := range map[string]struct {
		err  error
		code int
	}{
		"raffle 9 does not exist (RAFFLE_NOT_FOUND)": {answer(codes.NotFound, "raffle 9 does not exist", "RAFFLE_NOT_FOUND", nil), 3},
		"busy (BUSY)": {answer(codes.ResourceExhausted, "busy", "BUSY", nil), 1},
		"the database is unavailable (STORE_UNAVAILABLE)": {
			answer(codes.Unavailable, "the database is unavailable", "STORE_UNAVAILABLE", nil), 1,
		},
		"--prize: must be at most 20; --winners: must be at least 1; member: must be short (INVALID)": {
			answer(codes.InvalidArgument, "x", "INVALID", nil,
				"prizes[0].count", "must be at most 20", "raffle.winners", "must be at least 1", "member_id", "must be short"), 2,
		},
		"unknown_field: must be absent (INVALID)": {
			answer(codes.InvalidArgument, "x", "INVALID", nil, "unknown_field", "must be absent"), 2,
		},
		"without violations (INVALID)": {answer(codes.InvalidArgument, "without violations", "INVALID", nil), 2},
		"--max-entries: cannot be changed (FIELD_IMMUTABLE)": {
			answer(codes.FailedPrecondition, "x", "FIELD_IMMUTABLE", map[string]string{"field": "max_entries_per_member"}), 3,
		},

		"nobody answers at host:1; is rafflecast run running? --target names another address": {
			transport("transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"), 1,
		},
		"host:1 has no TLS: leave out --tls, --ca and --cert": {
			transport("transport: authentication handshake failed: tls: first record does not look like a TLS handshake"), 1,
		},
		"no trusted connection to host:1: tls: failed to verify certificate: x509: certificate signed by unknown authority": {
			transport("transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority"), 1,
		},
		"host:1 does not answer by gRPC: it may need --tls or --ca, or be another port": {
			transport("error reading server preface: EOF"), 1,
		},
		"host:1 does not know this call: it is an earlier version, or another service": {status.Error(codes.Unimplemented, "x"), 3},
		"interrupted; what was asked for may or may not have been done":                {status.Error(codes.Canceled, "x"), 1},
		"host:1 has not answered in time; what was asked for may or may not have been done": {
			status.Error(codes.DeadlineExceeded, "x"), 1,
		},
		"host:1 answers: Unknown": {status.Error(codes.Unknown, ""), 1},
	} {
		err := explain("host:1", c.err)
		exit, ok := errors.AsType[*command.ExitError](err)
		if !ok || exit.Code != c.code || err.Error() != want {
			t.Errorf("got %v\nwant %s, exit code %d", err, want, c.code)
		}
	}
	if got := Reason(explain("x", answer(codes.NotFound, "x", "RAFFLE_NOT_FOUND", nil))); got != "RAFFLE_NOT_FOUND" {
		t.Errorf("reason %q", got)
	}
	if got := Reason(errors.New("x")); got != "" {
		t.Errorf("reason %q of another error", got)
	}
}
