package commands

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// beProgram is the variable that makes the test's process the program itself.
const beProgram = "BE_RAFFLECAST"

func TestMain(m *testing.M) {
	if os.Getenv(beProgram) != "" {
		terminal := console.New(os.Stdin, os.Stdout, os.Stderr, os.Getenv("NO_COLOR"))
		os.Exit(command.Main("rafflecast", Description, &Commands{}, terminal))
	}
	os.Exit(m.Run())
}

// Every command of the document runs in the order in which a reader meets it, but for the
// one that starts the system.
func TestDocument_CommandsRunInTheirOrder(t *testing.T) {
	t.Parallel()
	bash := testenv.NeedProgram(t, "bash")
	_, errJQ := exec.LookPath("jq") // a reader may have it, and so may we
	text, err := os.ReadFile("../../../../docs/organisers.md")
	if err != nil {
		t.Fatal(err)
	}
	p := setup(t)
	p.create(t, "Signed guitar") // as rafflecast run has it
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexport %s=1\nexec %q \"$@\"\n", beProgram, self)
	if err := os.WriteFile(filepath.Join(dir, "rafflecast"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	ran, watched := 0, false
	for line := range strings.Lines(string(text)) {
		line, isCode := strings.CutPrefix(line, "    ")
		if !isCode || strings.HasPrefix(line, "make build") || errJQ != nil && strings.Contains(line, "jq") {
			continue
		}
		ran++
		line = strings.Replace(line, "--draw ", "--draw --draw-delay=10s ", 1) // the shortest
		cmd := exec.CommandContext(
			t.Context(),
			bash,
			"-e",
			"-o",
			"pipefail",
			"-c",
			strings.Replace(line, "rafflecast watch", "exec rafflecast watch", 1),
		)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"),
			"RAFFLECAST_TARGET="+p.env["RAFFLECAST_TARGET"], "RAFFLECAST_GATEWAY="+p.env["RAFFLECAST_GATEWAY"])
		run := cmd.CombinedOutput
		if watches := strings.HasPrefix(line, "rafflecast watch"); watches && !watched {
			watched = true
			run = func() ([]byte, error) { return interrupted(cmd) } // the raffle stays open
		}
		if out, err := run(); err != nil {
			t.Fatalf("%s%v\n%s", line, err, out)
		}
	}
	entrants, err := os.ReadFile(filepath.Join(dir, "entrants.csv"))
	if err != nil || ran < 15 || !strings.Contains(string(entrants), "\nminji,1,") {
		t.Errorf("%d commands, %v\n%s", ran, err, entrants)
	}
	winners, err := os.ReadFile(filepath.Join(dir, "winners.csv"))
	if err != nil || !strings.Contains(string(winners), "STRUCK DECLINED,Guitar,3,minji") {
		t.Errorf("%v\n%s", err, winners)
	}
}

// interrupted runs a command until it has written something, then interrupts it.
func interrupted(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	begin := make([]byte, 1)
	_, errRead := out.Read(begin)
	errSignal := cmd.Process.Signal(os.Interrupt)
	rest, errRest := io.ReadAll(out)
	return append(begin, rest...), errors.Join(errRead, errSignal, errRest, cmd.Wait())
}

func TestProgram_ExitsWithTheCode(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for args, code := range map[string]int{"version": 0, "show 1 --target=127.0.0.1:1": 1, "nonsense": 2, "": 2} {
		cmd := exec.CommandContext(t.Context(), self, strings.Fields(args)...)
		cmd.Env = append(os.Environ(), beProgram+"=1")
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != code || args == "nonsense" && strings.Count(string(out), "\n") != 1 {
			t.Errorf("%q: exit code %d\n%s", args, cmd.ProcessState.ExitCode(), out)
		}
	}
}
