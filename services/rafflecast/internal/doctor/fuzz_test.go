package doctor

import (
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
)

// numbers derives measurements from a fuzzer's input.
type numbers []byte

func (n *numbers) next() int64 {
	if len(*n) < 2 {
		return 0
	}
	v := int64(binary.LittleEndian.Uint16(*n))
	*n = (*n)[2:]
	return v
}

func (n *numbers) span() time.Duration { return time.Duration(n.next()) * 10 * time.Millisecond }

func (n *numbers) response() response {
	r := response{status: []int{0, 200, 204, 404, 429, 503, 504}[n.next()%7], took: n.span(), header: http.Header{}}
	r.header.Set(
		[]string{"Server", "Via", "Content-Encoding", "Content-Type"}[n.next()%4],
		[]string{"nginx", "envoy", "gzip", "text/event-stream", ""}[n.next()%5],
	)
	if r.status == 0 {
		r.err, r.header = errors.New("broken"), nil
	}
	return r
}

func (n *numbers) stream() stream {
	s := stream{
		head:           n.response(),
		ending:         ending(n.next() % 4),
		life:           n.span(),
		lastRead:       n.span(),
		longestSilence: n.span(),
	}
	for range n.next() % 5 {
		name := []string{sseclient.HeartbeatEvent, sseclient.OddsEvent, sseclient.ResetEvent}[n.next()%3]
		after := n.span()
		s.events = append(s.events, event{name: name, after: after, receivedAt: noon.Add(after), sentAt: noon.Add(n.span())})
	}
	return s
}

// Whatever was measured, there is one finding per check, with advice if and only if
// there is a fault.
func FuzzDiagnose(f *testing.F) {
	f.Add([]byte("0123456789012345678901234567890123456789"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		n := numbers(data)
		m := &measurements{
			plain: n.response(), compressed: n.response(), notFound: n.response(),
			byHeader: resumption(n.next() % 3), byQuery: resumption(n.next() % 3),
		}
		m.longPoll = longPoll{answeredAfter: n.span(), cutAfter: n.span(), failure: n.response(), early: n.next()%2 == 0}
		for range n.next() % 7 {
			m.streams = append(m.streams, n.stream())
		}
		for range n.next() % 11 {
			m.concurrent = append(m.concurrent, n.stream())
		}
		findings := diagnoseDefault(m)
		if len(findings) != 7 {
			t.Fatalf("%d findings", len(findings))
		}
		for i, f := range findings {
			if f.text == "" || strings.Contains(f.text, "%!") || (f.verdict == faulty) != (len(f.advice) > 0) {
				t.Errorf("%+v", f)
			}
			if slices.IndexFunc(findings, func(other finding) bool { return other.check == f.check }) != i {
				t.Errorf("%s has two findings", f.check)
			}
		}
	})
}
