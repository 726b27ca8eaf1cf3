//go:build unix

package measure

import (
	"fmt"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// Tick is the resolution of CPU times in /proc: 1/100 s on every Linux that Go runs
// on (proc_pid_stat(5), sysconf(_SC_CLK_TCK)).
const Tick = 10 * time.Millisecond

// SelfCPU returns the CPU time that this process has used. It asks the kernel, which
// is finer than /proc.
func SelfCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// CPU returns the CPU time that a process has used, 0 if there is no /proc.
func CPU(pid int) time.Duration {
	s := stat(pid)
	return ticks(int(s.UTime) + int(s.STime))
}

// TreeCPU returns the CPU time that a process and its children have used, those
// included that have ended.
func TreeCPU(pid int) time.Duration {
	root := stat(pid)
	used := ticks(int(root.UTime) + int(root.STime) + root.CUTime + root.CSTime)
	all, _ := procfs.AllProcs() // none if there is no /proc
	for _, process := range all {
		if child, err := process.Stat(); err == nil && child.PPID == pid {
			used += ticks(int(child.UTime) + int(child.STime))
		}
	}
	return used
}

// Waited returns for how long the threads of a process, and of those that it has started,
// have waited for a CPU that others were using: the scheduler's latency. It is 0 if the
// kernel does not count it.
func Waited(pid int) (waited time.Duration) {
	threads, _ := procfs.AllThreads(pid) // none if the process has ended
	for _, thread := range threads {
		if s, err := thread.Schedstat(); err == nil {
			waited += time.Duration(s.WaitingNanoseconds)
		}
	}
	all, _ := procfs.AllProcs() // none if there is no /proc
	for _, process := range all {
		if s, err := process.Stat(); err == nil && s.PPID == pid {
			waited += Waited(process.PID)
		}
	}
	return waited
}

// MachineCPU returns the CPU time that everything on the machine has used since it
// started, 0 if there is no /proc.
func MachineCPU() time.Duration {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	s, err := fs.Stat()
	if err != nil {
		return 0
	}
	t := s.CPUTotal // guests are part of user and nice
	return time.Duration((t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ + t.Steal) * float64(time.Second))
}

// Resident returns the memory of a process that is in RAM, in bytes.
func Resident(pid int) (int64, error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	s, err := process.Stat()
	if err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	return int64(s.ResidentMemory()), nil
}

// SelfAnonymous returns the anonymous memory of this process that is in RAM, in
// bytes: what it has allocated, without mapped files.
func SelfAnonymous() (int64, error) {
	process, err := procfs.Self()
	if err != nil {
		return 0, err
	}
	s, err := process.NewStatus()
	return int64(s.RssAnon), err
}

// Slab returns the memory of the kernel's objects, such as sockets, in bytes. It is
// the whole machine's, so it says something only while little else happens.
func Slab() (int64, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, err
	}
	m, err := fs.Meminfo()
	if err != nil {
		return 0, err
	}
	return int64(*m.SlabBytes), nil
}

func stat(pid int) procfs.ProcStat {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return procfs.ProcStat{}
	}
	s, _ := process.Stat() // zero if the process has ended
	return s
}

func ticks(n int) time.Duration { return time.Duration(n) * Tick }
