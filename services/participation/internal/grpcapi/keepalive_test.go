package grpcapi

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// Callers are asked to ping an idle connection after 10 s. Of two pings the network may
// deliver the first one late.
func TestServer_PermitsThePingsThatCallersAreAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(1 << 16)
		server := grpc.NewServer(transport(&Config{Keepalive: time.Hour})...)
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		defer func() { server.Stop(); <-served }()
		conn, err := listener.DialContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
			t.Fatal(err)
		}
		f := http2.NewFramer(conn, conn)
		if err := f.WriteSettings(); err != nil {
			t.Fatal(err)
		}
		for ping := range byte(20) {
			time.Sleep(9 * time.Second)
			if err := f.WritePing(false, [8]byte{ping}); err != nil {
				t.Fatal(err)
			}
			if err := awaitAnswer(f, ping); err != nil {
				t.Fatalf("ping %d: %v", ping, err)
			}
		}
	})
}

// awaitAnswer reads frames until a ping is answered, and fails if the server ends the
// connection.
func awaitAnswer(f *http2.Framer, ping byte) error {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			return http2.ConnectionError(frame.ErrCode)
		case *http2.PingFrame:
			if frame.IsAck() && frame.Data[0] == ping {
				return nil
			}
		}
	}
}
