package gateway

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// tuneGC sets how often garbage is collected in this process, as cfg says, and returns
// a function to call at the end of the service.
//
// Of what the service allocates, little stays: a larger heap of some tens of MiB saves
// a fifth of its CPU (GCPercent). But the heap of a gateway with few connections is
// small, and so is any percentage of it, while each new connection leaves up to 14 KiB
// behind, if net/http reads its request: a storm of them would have the collector go over all open
// ones many times a second, at a seventh of the cost. So a block of GCHeadroom bytes is
// allocated that is never touched: it takes no memory, but counts as heap. With much
// more than the default, what stays of a connection is scattered over so many pages
// that it takes 1.1 KB, not 0.7.
func tuneGC(cfg *Config) (end func()) {
	if cfg.GCPercent > 0 && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(cfg.GCPercent)
	}
	headroom := make([]byte, cfg.GCHeadroom)
	return func() { runtime.KeepAlive(headroom) }
}

const (
	// burst is how many connections must have been opened for their garbage to be worth a
	// collection.
	burst = 1000
	// burstLook is how often connections are counted. A burst is over once fewer than a
	// tenth of it were opened between two looks.
	burstLook = 2 * time.Second
)

// returnMemory gives memory back to the system after each burst of connections, such as
// clients that all reconnect, until ctx ends. What a handshake leaves behind would stay
// resident until updates have filled the heap, which on a quiet instance they never do,
// and which whoever sizes the instance takes for what a connection costs. opened returns
// how many connections were opened so far, and release gives the memory back.
func returnMemory(ctx context.Context, opened func() int64, release func()) {
	look := time.NewTicker(burstLook)
	defer look.Stop()
	for returned, before := opened(), opened(); ; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		now := opened()
		if now-returned >= burst && now-before < burst/10 {
			release()
			returned = now
		}
		before = now
	}
}
