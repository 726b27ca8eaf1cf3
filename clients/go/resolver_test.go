package client_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver/dns"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"

	client "github.com/rafflecast/rafflecast/clients/go"
)

func init() { dns.SetMinResolutionInterval(0) } //nolint:gochecknoinits // gRPC reads it while other tests run

// nameServer answers queries by DNS until the test ends: names that begin with
// participation have the address 127.0.0.1, unless gone is set.
type nameServer struct {
	conn    net.PacketConn
	gone    atomic.Bool
	refused chan struct{} // has a value once a query was answered so
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, refused: make(chan struct{}, 1)}
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		buffer := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(s.answer(buffer[:n]), from)
		}
	}()
	return s
}

func (s *nameServer) answer(query []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil
	}
	question := m.Questions[0]
	answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true}, Questions: m.Questions[:1]}
	switch {
	case s.gone.Load() || !strings.HasPrefix(question.Name.String(), "participation."):
		answer.RCode = dnsmessage.RCodeNameError
		select {
		case s.refused <- struct{}{}:
		default:
		}
	case question.Type == dnsmessage.TypeA:
		answer.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	data, _ := answer.Pack()
	return data
}

// gRPC by itself closes the connections to all addresses that a name has lost, whether they
// work or not.
func TestClient_KeepsTheAddressesOfANameThatHasNone(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{placed: map[string]int{}}
	serve := func(l net.Listener) (stop func()) {
		server := grpc.NewServer()
		rafflev1.RegisterParticipationServiceServer(server, f)
		ended := make(chan struct{})
		go func() { _ = server.Serve(l); close(ended) }()
		return func() { server.Stop(); <-ended }
	}
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	stop := serve(listener)
	c, err := client.New("dns://"+names.conn.LocalAddr().String()+"/participation:"+port, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Enter(deadline(t), 1, "alice"); err != nil {
		t.Fatal(err)
	}
	names.gone.Store(true)
	for len(names.refused) > 0 {
		<-names.refused // of the search list, before
	}
	stop() // which makes gRPC ask for the name again
	<-names.refused
	if listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", address); err != nil {
		t.Fatal(err)
	}
	defer serve(listener)()
	if _, err := c.Enter(deadline(t), 1, "alice"); err != nil || len(f.placed) != 2 {
		t.Errorf("%v, %d entries", err, len(f.placed))
	}
}
