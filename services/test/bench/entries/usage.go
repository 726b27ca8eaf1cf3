//go:build unix

package bench

import (
	"time"

	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// usage is CPU time, by who used it.
type usage struct{ client, server, postgres, others time.Duration }

// usage returns the CPU time that was used until now. server may be nil.
func (b *bench) usage(server *part) usage {
	u := usage{client: measure.SelfCPU(), postgres: measure.TreeCPU(b.database.server.PID())}
	if server != nil {
		u.server = measure.CPU(server.pid)
	}
	u.others = measure.MachineCPU() - u.client - u.server - u.postgres
	return u
}

func (u usage) since(before usage) usage {
	return usage{
		u.client - before.client,
		u.server - before.server,
		u.postgres - before.postgres,
		u.others - before.others,
	}
}
