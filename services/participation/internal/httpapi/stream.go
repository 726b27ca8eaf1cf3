package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/metadata"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// writeTimeout bounds the writing of one response of a stream.
const writeTimeout = 30 * time.Second

// entryStreams serves EnterStream over HTTP: the body has an EnterStreamRequest on
// each line, the response {"result":…} with an EnterStreamResponse on each. A stream
// that fails ends with a line {"error":…}, after the answers to all requests before.
type entryStreams struct {
	client rafflev1.ParticipationServiceClient
	errors *errorWriter
}

func (s *entryStreams) serve(w http.ResponseWriter, r *http.Request) error {
	if err := newInput(&rafflev1.EnterStreamRequest{}, r).noParameters(); err != nil {
		return err
	}
	if _, err := encodingOf(r.Header, []string{ndjsonType, jsonType}); err != nil {
		return err
	}
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 has it already
	_ = control.SetReadDeadline(time.Time{})
	defer control.SetWriteDeadline(time.Time{}) //nolint:errcheck // the connection is gone if this fails
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stream, err := s.client.EnterStream(metadata.NewOutgoingContext(ctx, callerOf(ctx)))
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() { sent <- sendLines(r, stream) }()
	w.Header().Set("Content-Type", ndjsonType)
	w.Header().Set("Connection", "close") // the rest of a body must not be read as another request
	lines := &lineWriter{w: w, control: control}
	lines.begin()
	ending, err := writeResponses(lines, stream)
	cancel()
	if sendErr := awaitSent(sent, control); err == nil && !ending {
		err = sendErr
	}
	if err != nil {
		lines.write(s.errors.convert(ctx, err).line())
	}
	return nil
}

// awaitSent waits for sendLines after the stream has ended, and ends it if it still
// waits for lines.
func awaitSent(sent <-chan error, control *http.ResponseController) error {
	select {
	case err := <-sent:
		return err
	default:
		_ = control.SetReadDeadline(time.Now())
		return <-sent
	}
}

// sendLines sends each line of the body as a request, then closes its side of the
// stream. It stops at the first line that is malformed.
func sendLines(r *http.Request, stream rafflev1.ParticipationService_EnterStreamClient) error {
	defer stream.CloseSend() //nolint:errcheck // it always succeeds
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(make([]byte, 0, 1024), maxBody)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		req := &rafflev1.EnterStreamRequest{}
		in := newInput(req, r)
		if err := in.addJSON(in.msg, "", lines.Bytes()); err != nil {
			if refused, ok := errors.AsType[*requestError](err); ok {
				refused.Message = "line " + strconv.Itoa(n) + ": " + refused.Message
				return refused.with("line", strconv.Itoa(n))
			}
			return err
		}
		if stream.Send(req) != nil {
			return nil // the stream has ended, and receiving says why
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return bodyError(&http.MaxBytesError{Limit: maxBody})
	} else if lines.Err() != nil {
		return bodyError(lines.Err())
	}
	return nil
}

// writeResponses writes a line for each response until the stream ends. It reports
// whether the server ended it by itself.
func writeResponses(lines *lineWriter, stream rafflev1.ParticipationService_EnterStreamClient) (ending bool, err error) {
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return ending, nil
		} else if err != nil {
			return ending, err
		}
		ending = ending || resp.GetEnding() != nil
		data, err := jsonOptions.Marshal(resp)
		if err != nil {
			return ending, err
		}
		lines.write(append(append([]byte(`{"result":`), data...), '}'))
		if lines.err != nil {
			return ending, context.Canceled // the client is gone
		}
	}
}

// lineWriter writes lines, each at once.
type lineWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error // of the first write that failed
}

// begin sends the header, for clients that wait for it before they send lines.
func (l *lineWriter) begin() {
	l.w.WriteHeader(http.StatusOK)
	l.err = l.control.Flush()
}

func (l *lineWriter) write(line []byte) {
	if l.err != nil {
		return
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, l.err = l.w.Write(append(line, '\n')); l.err == nil {
		l.err = l.control.Flush()
	}
}
