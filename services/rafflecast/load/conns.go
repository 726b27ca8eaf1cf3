package load

import (
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Conns are connections to one service.
type Conns []*grpc.ClientConn

// roundRobin spreads calls over all addresses of a name, such as those of a
// headless Service of Kubernetes.
const roundRobin = `{"loadBalancingConfig":[{"round_robin":{}}]}`

// alive notices a server that has vanished without closing its connections, as with its
// machine. Without it, calls would wait for the kernel to give up, which takes minutes.
// Participation permits a ping in 10 s, with and without calls.
var alive = keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}

// Dial returns n connections, which connect when they are first used.
func Dial(target string, n int, options ...grpc.DialOption) (Conns, error) {
	conns := make(Conns, n)
	for i := range conns {
		conn, err := grpc.NewClient(target, append([]grpc.DialOption{
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultServiceConfig(roundRobin),
			grpc.WithKeepaliveParams(alive),
		}, options...)...)
		if err != nil {
			conns[:i].Close()
			return nil, fmt.Errorf("connect to %s: %w", target, err)
		}
		conns[i] = conn
	}
	return conns, nil
}

// Close closes all of them.
func (c Conns) Close() {
	for _, conn := range c {
		_ = conn.Close()
	}
}
