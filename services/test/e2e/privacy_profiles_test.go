package e2e_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// readOperations reads what the operations ports tell, while a member has a stream of
// entries open, and while it calls again and again: profiles have the labels of
// goroutines that run.
func readOperations(t *testing.T, conn *grpc.ClientConn, gateway string, ports []string, token string, out *outputs) {
	t.Helper()
	member := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	entries := rafflev1.NewParticipationServiceClient(conn)
	stream, err := entries.EnterStream(member)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&rafflev1.EnterStreamRequest{Enter: &rafflev1.EnterRequest{RaffleId: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	for _, port := range ports {
		for _, path := range []string{"/metrics", "/readyz", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
			status, text := fetch(t, http.MethodGet, "http://"+port+path, "")
			out.add(port+path, fmt.Appendf(nil, "%d %s", status, text))
		}
		until, stop := context.WithCancel(member)
		var calling sync.WaitGroup
		calling.Go(func() {
			for until.Err() == nil {
				_, _ = entries.Enter(until, &rafflev1.EnterRequest{RaffleId: 1})
				if req, err := http.NewRequestWithContext(until, http.MethodGet, gateway+"/api/v1/raffles/1/odds", nil); err == nil {
					req.Header.Set("Authorization", "Bearer "+token)
					if resp, err := http.DefaultClient.Do(req); err == nil {
						resp.Body.Close()
					}
				}
			}
		})
		_, profile := fetch(t, http.MethodGet, "http://"+port+"/debug/pprof/profile?seconds=1", "")
		stop()
		calling.Wait()
		plain, err := gzip.NewReader(strings.NewReader(profile))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(plain)
		if err != nil {
			t.Fatal(err)
		}
		out.add("the CPU profile of "+port, text)
	}
}
