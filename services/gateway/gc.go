package gateway

import (
	"os"
	"runtime"
	"runtime/debug"
)

// tuneGC sets how often garbage is collected in this process, as cfg says, and returns
// a function to call at the end of the service.
//
// Of what the service allocates, little stays: a larger heap of some tens of MiB saves
// a fifth of its CPU (GCPercent). But the heap of a gateway with few connections is
// small, and so is any percentage of it, while each new connection leaves 14 KiB of
// net/http's buffers behind: a storm of them would have the collector go over all open
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
