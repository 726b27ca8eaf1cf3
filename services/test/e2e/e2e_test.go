package e2e_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// binaries builds the three programs once, and returns their directory.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rafflecast-e2e-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir,
		"github.com/rafflecast/rafflecast/services/rafflecast/cmd/rafflecast",
		"github.com/rafflecast/rafflecast/services/participation/cmd/participation",
		"github.com/rafflecast/rafflecast/services/gateway/cmd/gateway").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("build: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := binaries(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// program is one of our programs, running as a process of its own.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	mu    sync.Mutex
	log   []string
	line  chan struct{} // holds one: the log has grown
	ended chan struct{}
	err   error
}

// launch starts a program, which the test's end kills.
func launch(t *testing.T, name string, args ...string) *program {
	t.Helper()
	return launchIn(t, nil, name, args...)
}

// launchIn does so with these environment variables besides the test's own.
func launchIn(t *testing.T, environment []string, name string, args ...string) *program {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: exec.Command(filepath.Join(dir, name), args...), line: make(chan struct{}, 1), ended: make(chan struct{})}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	p.cmd.Env = append(os.Environ(), environment...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.mu.Lock()
			p.log = append(p.log, lines.Text())
			p.mu.Unlock()
			select {
			case p.line <- struct{}{}:
			default:
			}
		}
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			for _, line := range p.log {
				t.Logf("%s: %s", name, line)
			}
		}
	})
	return p
}

// await returns the submatches of the first line of the log that matches.
func (p *program) await(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(60 * time.Second)
	for next := 0; ; {
		p.mu.Lock()
		for ; next < len(p.log); next++ {
			if found := re.FindStringSubmatch(p.log[next]); found != nil {
				p.mu.Unlock()
				return found
			}
		}
		p.mu.Unlock()
		select {
		case <-p.line:
		case <-p.ended:
			p.t.Fatalf("%s ended (%v) and did not say %s", p.cmd.Path, p.err, pattern)
		case <-deadline:
			p.t.Fatalf("%s did not say %s within 60 s", p.cmd.Path, pattern)
		}
	}
}

// stop sends a signal and returns how the program ended, and after how long.
func (p *program) stop(signal syscall.Signal) (time.Duration, error) {
	p.t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%s did not stop within 30 s", p.cmd.Path)
	}
	return time.Since(began), p.err
}

// clients of a participation service.
type clients struct {
	raffles rafflev1.RaffleServiceClient
	entries rafflev1.ParticipationServiceClient
}

func dial(t *testing.T, address string) clients {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return clients{rafflev1.NewRaffleServiceClient(conn), rafflev1.NewParticipationServiceClient(conn)}
}
