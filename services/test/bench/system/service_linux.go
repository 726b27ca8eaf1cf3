package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// service is a running participation or gateway.
type service struct {
	cmd   *exec.Cmd
	ended chan struct{}     // closed once it has ended
	at    map[string]string // the addresses on which it serves, by the names in its log
}

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
)

// startService starts a program of the directory and returns once it serves. Warnings and
// errors of its log go to log.
func startService(dir, name string, log io.Writer, args ...string) (*service, error) {
	cmd := exec.Command(filepath.Join(dir, name), append([]string{"serve", "--log-format=json"}, args...)...) //nolint:gosec,noctx // our own program, which stop ends
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	lines, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s := &service{cmd: cmd, ended: make(chan struct{})}
	serves := make(chan map[string]string, 1)
	go func() {
		defer close(s.ended)
		readLog(lines, serves, log)
		_ = cmd.Wait() // its log says why it has ended
	}()
	select {
	case s.at = <-serves:
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("%s ended before it served", name)
	case <-time.After(startTimeout):
		s.stop()
		return nil, fmt.Errorf("%s did not serve within %v", name, startTimeout)
	}
}

// readLog reads a service's log to its end. The line that says that it serves has the
// addresses.
func readLog(lines io.Reader, serves chan<- map[string]string, log io.Writer) {
	for text := bufio.NewScanner(lines); text.Scan(); {
		var line map[string]any
		if json.Unmarshal(text.Bytes(), &line) != nil || line["level"] != "INFO" {
			fmt.Fprintln(log, text.Text())
			continue
		}
		if message, _ := line["msg"].(string); !strings.HasSuffix(message, " is serving") {
			continue
		}
		at := make(map[string]string)
		for name, value := range line {
			at[name], _ = value.(string)
		}
		serves <- at
	}
}

// stop ends the service and waits for it.
func (s *service) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopTimeout, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	<-s.ended
}
