package grpcapi

import (
	"testing"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

func TestListAuditEvents_Pages(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	events := rafflev1.NewAuditServiceClient(b.conn)
	req := &rafflev1.ListAuditEventsRequest{PageSize: 2}
	var got []int64
	for {
		resp, err := events.ListAuditEvents(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range resp.GetEvents() {
			got = append(got, e.GetId())
		}
		if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	for i, want := range []int64{5, 4, 3, 2, 1} {
		if len(got) != 5 || got[i] != want {
			t.Fatalf("got %v", got)
		}
	}
}
