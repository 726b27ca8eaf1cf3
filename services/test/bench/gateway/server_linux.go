package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// What the client asks a server for.
const (
	askCPU      = "cpu"      // the CPU time used, in ns
	askMemory   = "memory"   // the anonymous memory in RAM after a collection, in bytes
	askResident = "resident" // the anonymous memory in RAM as it is, in bytes
	askHeap     = "heap"     // what Go holds of it, garbage included
	askFiles    = "files"    // open file descriptors
	publish     = "publish"
)

// answer acts on a line of the client and returns the answer, "" if there is none.
// The line is one of the constants above, or "publish R V" for version V of raffle R.
func answer(line string, publishVersion func(raffleID, version int64)) string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	switch words[0] {
	case askCPU:
		return strconv.FormatInt(measure.SelfCPU().Nanoseconds(), 10)
	case askMemory:
		runtime.GC()
		debug.FreeOSMemory()
		bytes, _ := measure.SelfAnonymous() // always there on Linux
		return strconv.FormatInt(bytes, 10)
	case askResident:
		bytes, _ := measure.SelfAnonymous()
		return strconv.FormatInt(bytes, 10)
	case askHeap:
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return strconv.FormatUint(stats.HeapAlloc, 10)
	case askFiles:
		files, _ := os.ReadDir("/proc/self/fd")
		return strconv.Itoa(len(files))
	case publish:
		if len(words) == 3 {
			raffleID, _ := strconv.ParseInt(words[1], 10, 64)
			version, _ := strconv.ParseInt(words[2], 10, 64)
			publishVersion(raffleID, version)
		}
	}
	return ""
}

// serveClient answers the client until it has ended, and then ends the process.
func serveClient(publishVersion func(raffleID, version int64)) {
	measure.ServeParent(func(line string) string { return answer(line, publishVersion) })
	os.Exit(0)
}
