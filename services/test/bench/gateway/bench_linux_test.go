package bench

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestMain(m *testing.M) {
	if serves, err := Serve(os.Args[1:]); serves {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// The figures of so few connections mean nothing; that there are any does.
func TestSession_MeasuresEachServer(t *testing.T) {
	t.Parallel()
	if runtime.NumCPU() < 2 {
		testenv.SkipMissing(t, "second core")
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, err := newSession(t.Context(), kind, 3)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if _, err := s.dial(30); err != nil {
				t.Fatal(err)
			}
			got, err := s.rounds(3, 0)
			if err != nil || got.cpu <= 0 || got.perSecond <= 0 || got.p50 > got.p99 || got.p99 > got.last {
				t.Errorf("%+v, %v", got, err)
			}
			if memory, slab, err := s.memory(); err != nil || memory <= 0 || slab <= 0 {
				t.Errorf("memory %v, slab %v, %v", memory, slab, err)
			}
			for _, what := range []string{askHeap, askFiles} {
				if n, err := s.server.Ask(what); err != nil || n <= 0 {
					t.Errorf("%s: %v, %v", what, n, err)
				}
			}
		})
	}
}

func TestNewestVersion_ReadsTheLastID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"id: 1:57\nevent: x\ndata: {}\n\n":                          57,
		"retry: 1000\nid: 1:57\ndata: {}\n\nid: 1:58\ndata: {}\n\n": 58,
		"event: heartbeat\ndata: {}\n\n":                            0,
		"":                                                          0,
	} {
		if got := newestVersion([]byte(text)); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}
