package localpg

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processes lists all processes that this one may see. It reads /proc, as small images have no ps.
func processes(context.Context) ([]running, error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []running
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", d.Name(), "cmdline"))
		if err != nil {
			continue // it has ended meanwhile
		}
		line = bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '})
		all = append(all, running{pid: pid, command: strings.TrimSpace(string(line))})
	}
	return all, nil
}
