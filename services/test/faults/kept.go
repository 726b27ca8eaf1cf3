package faults

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed kept.txt
var keptText string

// Kept returns the schedules that once found something.
func Kept() []Config {
	kept, err := parseKept(keptText)
	if err != nil {
		panic(err) // a test has parsed it
	}
	return kept
}

// parseKept reads a line per schedule: its seed, the number of its faults, "restore"
// or "-", and what the names of its kinds contain. # begins a comment.
func parseKept(text string) (kept []Config, err error) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) < 3 || (fields[2] != "restore" && fields[2] != "-") {
			return nil, fmt.Errorf("%q is not SEED FAULTS restore|- [KINDS]", line)
		}
		seed, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			return nil, err
		}
		faults, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, err
		}
		kept = append(kept, Config{Seed: seed, Faults: faults, Restore: fields[2] == "restore", Only: strings.Join(fields[3:], " ")})
	}
	return kept, nil
}
