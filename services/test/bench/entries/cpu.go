//go:build unix

package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of times in /proc: 1/100 s on every Linux that Go runs on
// (proc_pid_stat(5), sysconf(_SC_CLK_TCK)).
const tick = 10 * time.Millisecond

// stat is a process as /proc tells; all zero where there is no /proc.
type stat struct {
	parent   int
	own      time.Duration // CPU of the process
	children time.Duration // CPU of its children that have ended
}

func readStat(pid int) stat {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 15 {
		return stat{}
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(fields[i]) // the kernel's own format
		return n
	}
	// Counted from the field after the name: ppid, utime, stime, cutime, cstime.
	return stat{
		parent:   number(1),
		own:      time.Duration(number(11)+number(12)) * tick,
		children: time.Duration(number(13)+number(14)) * tick,
	}
}

// treeCPU returns the CPU that a process and all its children have used.
func treeCPU(pid int) time.Duration {
	root := readStat(pid)
	used := root.own + root.children
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if s := readStat(child); s.parent == pid {
			used += s.own
		}
	}
	return used
}

// selfCPU returns the CPU that this process has used.
func selfCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns the memory of a process that is in RAM, in bytes.
func resident(pid int) (int64, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// machineCPU returns the CPU that everything on the machine has used since it
// started.
func machineCPU() time.Duration {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	// "cpu", then user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5)).
	line, _, _ := strings.Cut(string(data), "\n")
	var used time.Duration
	for i, field := range strings.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue // the name, idle, iowait, and what user includes already
		}
		n, _ := strconv.Atoi(field) // the kernel's own format
		used += time.Duration(n) * tick
	}
	return used
}

// usage is CPU used, by who used it.
type usage struct{ client, server, postgres, others time.Duration }

// usage returns the CPU used until now; server is a process's id, or 0.
func (b *bench) usage(server int) usage {
	u := usage{client: selfCPU(), postgres: treeCPU(b.database.pid)}
	if server != 0 {
		u.server = readStat(server).own
	}
	u.others = machineCPU() - u.client - u.server - u.postgres
	return u
}

func (u usage) since(before usage) usage {
	return usage{u.client - before.client, u.server - before.server, u.postgres - before.postgres, u.others - before.others}
}
