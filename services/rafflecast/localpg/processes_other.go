//go:build unix && !linux

package localpg

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// processes lists all processes that this one may see.
func processes(ctx context.Context) ([]running, error) {
	out, err := exec.CommandContext(ctx, "ps", "-axww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	var all []running
	for line := range strings.Lines(string(out)) {
		id, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(id); err == nil {
			all = append(all, running{pid: pid, command: strings.TrimSpace(command)})
		}
	}
	return all, nil
}
