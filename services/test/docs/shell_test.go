package docs

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// shell is a bash in which the commands of one document run, as a reader types them. It has
// a directory, ports, a database and a NATS of its own.
type shell struct {
	t     *testing.T
	top   string // of the repository
	dir   string // with .build and examples, as in the repository
	shop  string // the address where a page of another origin is served, which may read odds
	ports *strings.Replacer
	own   string // exports the settings of this shell

	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
	n   int // background commands
}

// documentedPorts are the defaults, in the order of the variables of newShell.
var documentedPorts = []string{"9998", "9999", "9090", "9080", "9091"}

func newShell(t *testing.T, programs string) *shell {
	t.Helper()
	s := &shell{t: t}
	var err error
	if s.dir, err = os.MkdirTemp("", "rafflecast-docs-"); err != nil { //nolint:usetesting // PostgreSQL, which has another account, must reach it
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.dir) })
	if s.top, err = filepath.Abs(root); err != nil {
		t.Fatal(err)
	}
	variables := []string{"GATEWAY_ADDRESS", "GATEWAY_OPS_ADDRESS", "PARTICIPATION_GRPC_ADDRESS", "PARTICIPATION_HTTP_ADDRESS", "PARTICIPATION_OPS_ADDRESS"}
	var pairs []string
	s.own = "export"
	addresses := testenv.FreeAddresses(t, len(variables)+1)
	for i, address := range addresses[:len(variables)] {
		pairs = append(pairs, "localhost:"+documentedPorts[i], address, "127.0.0.1:"+documentedPorts[i], address)
		s.own += " " + variables[i] + "=" + address
	}
	s.shop = addresses[len(variables)]
	host, port, _ := strings.Cut(s.shop, ":")
	pairs = append(pairs, "localhost:8000", s.shop, "--bind localhost", "--bind "+host, "examples/embed 8000", "examples/embed "+port)
	s.ports = strings.NewReplacer(append(pairs, "postgres://…", pgtest.URL(t))...)
	s.fill(programs)
	s.own += " GATEWAY_CORS_ORIGINS=http://" + s.shop + " PYTHONUNBUFFERED=1 npm_config_prefer_offline=true"
	s.own += " RAFFLECAST_TARGET=" + s.ports.Replace("localhost:9090")
	s.own += fmt.Sprintf(" DATABASE_URL='%s' NATS_URL=%s", s.ports.Replace("postgres://…"), natstest.Start(t).URL())
	s.start()
	return s
}

// fill puts the programs and the examples into the directory, for the ports of this shell.
func (s *shell) fill(programs string) {
	s.t.Helper()
	built, err := os.ReadDir(programs)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.dir, ".build"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, program := range built {
		if err := os.Symlink(filepath.Join(programs, program.Name()), filepath.Join(s.dir, ".build", program.Name())); err != nil {
			s.t.Fatal(err)
		}
	}
	examples, err := filepath.Glob(filepath.Join(s.top, "examples/*/*.*"))
	if err != nil || len(examples) == 0 {
		s.t.Fatal(examples, err)
	}
	for _, file := range examples {
		text, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		file = strings.Replace(file, s.top, s.dir, 1)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(s.ports.Replace(string(text))), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// start starts the shell. What it leaves behind ends with the test.
func (s *shell) start() {
	s.t.Helper()
	s.cmd = exec.Command("bash", "--norc")
	s.cmd.Dir, s.cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Setpgid: true}
	in, out, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = out, out
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	_ = out.Close()
	s.in, s.out = stdin, bufio.NewReader(in)
	s.t.Cleanup(func() {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		_ = s.cmd.Wait()
		_ = in.Close()
	})
	// Each answer's status goes beside the command's output.
	s.run(`curl() { command curl --no-progress-meter -w '%{stderr}\nHTTP %{http_code}\n' "$@"; }` + "\n" + s.own)
}

// run runs a command and returns its output and its exit code.
func (s *shell) run(command string) (output string, code string) {
	s.t.Helper()
	fmt.Fprintf(s.in, "%s\necho \"<end $?>\"\n", command)
	timer := time.AfterFunc(3*time.Minute, func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%s: no end within 3 minutes\n%s", command, output)
		}
		if m := regexp.MustCompile(`^(.*)<end (\d+)>\n`).FindStringSubmatch(line); m != nil {
			return output + m[1], m[2]
		}
		output += line
	}
}

// background starts a command that does not end, and waits until its output contains a text.
// If it ends before, with an error, the test fails.
func (s *shell) background(command, text string) {
	s.t.Helper()
	s.n++
	log := filepath.Join(s.dir, fmt.Sprintf("log%d", s.n))
	s.run(fmt.Sprintf(`{ trap 'kill $child; wait $child' TERM
%s & child=$!
wait $child; echo "<end $?>"; } >%s 2>&1 &
pid=$!`, command, log))
	ended := regexp.MustCompile(`<end [1-9]\d*>`)
	var output []byte
	testenv.Eventually(s.t, fmt.Sprintf("%s prints %q", command, text), time.Minute, func() bool {
		output, _ = os.ReadFile(log)
		if ended.Match(output) {
			s.t.Fatalf("%s failed:\n%s", command, output)
		}
		return strings.Contains(string(output), text)
	})
}
