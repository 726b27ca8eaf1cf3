package client

import (
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// SteadyDNS returns the option by which a connection keeps the addresses of a name that has
// none at present, and goes on asking for new ones. Without it gRPC closes all connections
// then, those that work as well. A name of Kubernetes has no address while no pod is ready;
// and if some of the cluster's DNS servers don't answer, Go may say that there is no such name,
// since it tries others after it, with the domains of resolv.conf. New has the option.
func SteadyDNS() grpc.DialOption { return grpc.WithResolvers(steadyBuilder{resolver.Get("dns")}) }

// steadyBuilder is a builder of resolvers by which no name loses all its addresses.
type steadyBuilder struct{ resolver.Builder }

// Build implements resolver.Builder.
func (b steadyBuilder) Build(target resolver.Target, conn resolver.ClientConn, o resolver.BuildOptions) (resolver.Resolver, error) {
	return b.Builder.Build(target, &steadyConn{ClientConn: conn}, o)
}

// steadyConn is a connection that is told of addresses, by one call at a time.
type steadyConn struct {
	resolver.ClientConn
	known bool // it has had addresses
}

var errNoAddress = errors.New("the name has no address at present")

// UpdateState implements resolver.ClientConn. Its error makes the resolver try again, after
// waits that double.
func (c *steadyConn) UpdateState(s resolver.State) error {
	has := len(s.Addresses) > 0 || len(s.Endpoints) > 0
	if c.known && !has {
		c.ReportError(errNoAddress)
		return errNoAddress
	}
	c.known = has
	return c.ClientConn.UpdateState(s)
}
