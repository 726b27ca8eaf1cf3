//go:build unix

package measure

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// stopTimeout bounds how long a child may take to end by itself.
const stopTimeout = 10 * time.Second

// Child is a process that runs a part of a benchmark. Not safe for concurrent use.
type Child struct {
	// Ready is what the child said when it was ready, such as the address on which
	// it listens.
	Ready []string

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// Start runs a command and returns once it is ready. start starts it, and may
// change how; (*exec.Cmd).Start does no more.
func Start(ctx context.Context, command []string, start func(*exec.Cmd) error) (*Child, error) {
	c := &Child{cmd: exec.CommandContext(ctx, command[0], command[1:]...)} //nolint:gosec // the benchmark itself
	c.cmd.Stderr = os.Stderr
	c.cmd.Cancel = func() error { return c.stdin.Close() }
	c.cmd.WaitDelay = stopTimeout
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.stdout = bufio.NewReader(stdout)
	if err := start(c.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", strings.Join(command, " "), err)
	}
	line, err := c.stdout.ReadString('\n')
	said, isReady := strings.CutPrefix(line, readyPrefix)
	if err != nil || !isReady {
		c.Stop()
		return nil, fmt.Errorf("%s did not become ready: %q", strings.Join(command, " "), line)
	}
	c.Ready = strings.Fields(said)
	return c, nil
}

// PID returns the child's process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Tell writes a line to the child.
func (c *Child) Tell(line string) error {
	_, err := io.WriteString(c.stdin, line+"\n")
	return err
}

// Ask writes a line to the child and returns the number that it answers.
func (c *Child) Ask(line string) (float64, error) {
	if err := c.Tell(line); err != nil {
		return 0, err
	}
	text, err := c.stdout.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("ask for %s: %w", line, err)
	}
	return strconv.ParseFloat(strings.TrimSpace(text), 64)
}

// Stop ends the child and waits for it. A child that does not end is killed.
func (c *Child) Stop() {
	_ = c.stdin.Close()
	kill := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_ = c.cmd.Wait() // how it ended changes nothing that was measured
}

const readyPrefix = "READY "

// Ready tells the parent that this child is ready.
func Ready(fields ...any) { fmt.Print(readyPrefix, fmt.Sprintln(fields...)) }

// ServeParent calls answer for each line of the parent and writes what it returns,
// unless it returns "". It returns when the parent has closed the input or ended.
func ServeParent(answer func(line string) string) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if text := answer(lines.Text()); text != "" {
			fmt.Println(text)
		}
	}
}
