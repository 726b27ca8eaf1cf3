package natstest

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// StartCluster runs n servers that form a cluster, until the test ends. It returns once
// the cluster can make streams.
func StartCluster(t testing.TB, n int) []*Server {
	t.Helper()
	var routes []*url.URL
	for _, address := range testenv.FreeAddresses(t, n) {
		routes = append(routes, &url.URL{Scheme: "nats", Host: address})
	}
	servers := make([]*Server, n)
	for i := range servers {
		host, port, err := net.SplitHostPort(routes[i].Host)
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		servers[i] = StartWith(t, func(o *server.Options) {
			o.ServerName = fmt.Sprint("nats-", i)
			o.Cluster = server.ClusterOpts{Name: "test", Host: host, Port: number}
			o.Routes = routes
		})
	}
	testenv.Eventually(t, "the cluster has a leader, to which all servers have come", 30*time.Second, func() bool {
		for _, s := range servers {
			if s.server.JetStreamIsLeader() {
				return len(s.server.JetStreamClusterPeers()) == n
			}
		}
		return false
	})
	return servers
}
