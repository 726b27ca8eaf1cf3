package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Serve runs the server that the arguments name, as this package starts it, until
// standard input ends. serves is false where they name none.
func Serve(args []string) (serves bool, err error) {
	switch {
	case len(args) == 1 && args[0] == "bare":
		return true, Bare()
	case len(args) == 1 && args[0] == "hub":
		return true, Hub()
	case len(args) == 2 && args[0] == "gateway":
		return true, Gateway(args[1])
	case len(args) == 3 && args[0] == "nats":
		raffles, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil {
			return true, err
		}
		return true, NATS(args[1], raffles)
	}
	return false, nil
}

// answer acts on a line of the controlling process and returns what to answer,
// "" for nothing: "cpu" asks for the CPU time used, in ns; "memory" for the
// private memory in use, in bytes; "heap" for what Go
// holds of it, garbage included; "files" for the open ones; "publish R V" for that version of raffle R.
func answer(line string, publish func(raffleID, version int64)) string {
	words := strings.Fields(line)
	switch {
	case len(words) == 1 && words[0] == "cpu":
		return strconv.FormatInt(cpu(), 10)
	case len(words) == 1 && words[0] == "memory":
		return strconv.FormatInt(memory(), 10)
	case len(words) == 1 && words[0] == "heap":
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return strconv.FormatUint(stats.HeapAlloc, 10)
	case len(words) == 1 && words[0] == "files":
		files, _ := os.ReadDir("/proc/self/fd")
		return strconv.Itoa(len(files))
	case len(words) == 3 && words[0] == "publish":
		raffleID, _ := strconv.ParseInt(words[1], 10, 64)
		version, _ := strconv.ParseInt(words[2], 10, 64)
		publish(raffleID, version)
	}
	return ""
}

// control answers lines of standard input until it ends, and then ends the
// process.
func control(publish func(raffleID, version int64)) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if text := answer(lines.Text(), publish); text != "" {
			fmt.Println(text)
		}
	}
	os.Exit(0)
}

// cpu returns the CPU time that the process has used, in ns.
func cpu() int64 {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// memory returns the private memory that is in use, in bytes, after what can be
// has been given back.
func memory() int64 {
	runtime.GC()
	debug.FreeOSMemory()
	return statusBytes("/proc/self/status", "RssAnon:")
}

// statusBytes reads a line like "RssAnon:  12 kB" of a file.
func statusBytes(path, name string) int64 {
	f, err := os.Open(path) //nolint:gosec // of /proc
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	data, _ := io.ReadAll(f)
	_, rest, _ := bytes.Cut(data, []byte("\n"+name))
	var kb int64
	_, _ = fmt.Sscan(string(rest), &kb)
	return kb << 10
}
