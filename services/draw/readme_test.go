package draw

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

// The commands of README.md, run as they stand there with the real programs, print what
// stands behind them.
func TestReadme_CommandsWork(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"sh", "bc", "sha256sum", "basenc", "od"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("CI must have %s", program)
			}
			t.Skipf("this machine lacks %s: `make test` installs it where it can", program)
		}
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"log", "checkpoint", "closing-checkpoint"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```\n.*?\n```\n(.*?)```\n").FindAllStringSubmatch(string(text), -1)
	want(t, "blocks", len(blocks), 4)
	for _, block := range blocks {
		sh := exec.CommandContext(t.Context(), "sh", "-eu")
		sh.Dir, sh.Stdin = dir, strings.NewReader(block[1])
		out, err := sh.CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		want(t, block[1], string(out), block[2])
	}
}

// So does the program, with the files that the README names.
func TestReadme_VerifiesWithTheProgram(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`    rafflecast-verify (--key \S+) \\\n +(testdata/.*)\n`).FindStringSubmatch(string(text))
	want(t, "parts of the command", len(command), 3)
	args := append([]string{"run", "./cmd/rafflecast-verify"}, strings.Fields(command[1]+" "+command[2])...)
	if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The files of testdata, which README.md works with, are those of the vector.
func TestTestdata_IsTheVector(t *testing.T) {
	t.Parallel()
	v, records := readVector(t)
	var log []byte
	for _, r := range records {
		log = logfile.Append(log, r)
	}
	for name, content := range map[string]string{
		"log": string(log), "checkpoint": v.FinalCheckpoint, "closing-checkpoint": v.ClosingCheckpoint, "receipt": v.AliceFirstReceipt,
	} {
		got, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		want(t, name, string(got), content)
	}
}
