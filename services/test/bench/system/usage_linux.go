package bench

import (
	"time"

	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// processes are the names of everything that runs, in the order of the report.
var processes = []string{"PostgreSQL", "participation", "NATS", "gateway", "viewers", "callers"}

// usage is what the processes have used until a time.
type usage struct {
	at          time.Time
	cpu, waited map[string]time.Duration // by process
	machine     time.Duration            // CPU time of everything on the machine
}

// usage returns what the processes have used until now.
func (s *system) usage(callers *measure.Child) usage {
	u := usage{at: time.Now(), cpu: make(map[string]time.Duration), waited: make(map[string]time.Duration), machine: measure.MachineCPU()}
	for name, pid := range map[string]int{
		"PostgreSQL":    s.postgres.PID(),
		"participation": s.participation.cmd.Process.Pid,
		"NATS":          s.nats.PID(),
		"gateway":       s.gateway.cmd.Process.Pid,
		"viewers":       s.viewers.PID(),
		"callers":       callers.PID(),
	} {
		u.cpu[name], u.waited[name] = measure.TreeCPU(pid), measure.Waited(pid)
	}
	return u
}

// since adds to the figures how many CPUs each process has used since before, how many of
// its threads have waited for one on average, and how many CPUs the rest of the machine
// has used.
func (u usage) since(before usage, out figures) {
	seconds := u.at.Sub(before.at).Seconds()
	others := u.machine - before.machine
	for _, name := range processes {
		used := u.cpu[name] - before.cpu[name]
		others -= used
		out[cpuOf+name] = used.Seconds() / seconds
		out[waitOf+name] = (u.waited[name] - before.waited[name]).Seconds() / seconds
	}
	out[cpuOf+nameOthers] = others.Seconds() / seconds
}
