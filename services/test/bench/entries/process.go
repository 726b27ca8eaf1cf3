//go:build unix

package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is a part of the benchmark that runs beside it.
type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer // its end tells the part to stop
	address string
	ops     string
}

// startPart starts a part and returns once it is ready.
func (c *Config) startPart(ctx context.Context, args ...string) (*process, error) {
	program, err := c.program()
	if err != nil {
		return nil, err
	}
	args = append(append(program[1:len(program):len(program)], args...), "--log-level=warn")
	p := &process{cmd: exec.CommandContext(ctx, program[0], args...)} //nolint:gosec // our own program
	p.cmd.Stderr = os.Stderr
	p.cmd.Cancel = func() error { return p.stdin.Close() }
	p.cmd.WaitDelay = 10 * time.Second
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) != 3 || fields[0] != "READY" {
		p.stop()
		return nil, fmt.Errorf("%s did not start: %q", strings.Join(args, " "), line)
	}
	p.address, p.ops = fields[1], fields[2]
	return p, nil
}

// stop ends the part and waits for it. Idempotent; nil is no part.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.stdin.Close()
	_ = p.cmd.Wait() // nothing is left to be done about a part that ended badly
}

func (p *process) pid() int { return p.cmd.Process.Pid }
