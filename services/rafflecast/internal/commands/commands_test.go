package commands

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/config/configtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

var update = flag.Bool("update", false, "write the golden files")

func TestConfig_EverySettingIsDeclaredInFull(t *testing.T) {
	t.Parallel()
	if err := configtest.Declarations(&Commands{}); err != nil {
		t.Error(err)
	}
}

func TestHelp_IsGolden(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"help.txt": {"help"}, "create.txt": {"create", "--help"}} {
		path := filepath.Join("testdata", name)
		got := (&program{}).must(t, args...)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant (-update writes it)\n%s", name, got, want)
		}
	}
}

// example finds the arguments of a command in a line of a help text: what stands before a
// pipe, a redirection or another command.
var example = regexp.MustCompile(`(?m)rafflecast ((?:"[^"]*"|'[^']*'|[^|>)&\n"'])*)`)

// words finds the words of a command line.
var wordPattern = regexp.MustCompile(`(?:"[^"]*"|'[^']*'|[^\s"'])+`)

func TestHelp_EveryCommandHasExamplesThatParse(t *testing.T) {
	t.Parallel()
	newParser := func() *config.Parser {
		return config.NewParser(&Commands{}, func(string) (string, bool) { return "", false }, kong.Name("rafflecast"))
	}
	model := kong.Must(&Commands{}, kong.Name("rafflecast")).Model
	for _, node := range model.Leaves(true) {
		_, examples, ok := strings.Cut(node.Detail, "\n\n    ")
		if !ok || !strings.Contains(examples, "rafflecast "+node.Name) {
			t.Errorf("%s has no example", node.Name)
		}
		for _, found := range example.FindAllStringSubmatch(examples, -1) {
			var args []string
			for _, word := range wordPattern.FindAllString(found[1], -1) {
				args = append(args, strings.NewReplacer(`"`, "", `'`, "").Replace(word))
			}
			// An example may name a file that another example makes.
			if _, err := newParser().Parse(args); err != nil && !strings.Contains(err.Error(), "no such file") {
				t.Errorf("%s: %q: %v", node.Name, args, err)
			}
		}
	}
}

func TestCompletion_Bash(t *testing.T) {
	t.Parallel()
	bash := testenv.NeedProgram(t, "bash")
	script := (&program{}).must(t, "completion", "bash")
	for typed, want := range map[string]string{
		"cre": "create", "wi": "withdraw winners", "ls": "ls", "create --draw": "--draw --draw-delay --draw-chain",
		"ls --st": "--state", "completion ba": "bash", "nonexistent --x": "",
	} {
		words := "(rafflecast " + typed + ")"
		out, err := exec.CommandContext(t.Context(), bash, "-c", script+
			"COMP_WORDS="+words+"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _rafflecast; echo \"${COMPREPLY[*]}\"").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: got %s, want %s (%v)", typed, out, want, err)
		}
	}
}

func TestCompletion_OtherShells(t *testing.T) {
	t.Parallel()
	p := &program{}
	wantLines(t, p.must(t, "completion", "zsh"), "bashcompinit\n_rafflecast() {")
	wantLines(
		t,
		p.must(t, "completion", "fish"),
		"complete -c rafflecast -n __fish_use_subcommand -f -a create -d 'Create a raffle.'\n",
		"complete -c rafflecast -n '__fish_seen_subcommand_from list ls' -l state -x -a 'any scheduled open closed cancelled drawn' -d ",
	)
	if r := p.run("completion", "tcsh"); r.code != 2 {
		t.Errorf("exit code %d", r.code)
	}
}

func TestMoment_ReadsDurationsAndTimes(t *testing.T) {
	t.Parallel()
	seoul := time.FixedZone("KST", 9*60*60)
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, seoul)
	for text, want := range map[string]time.Time{
		"90s":                       now.Add(90 * time.Second),
		"2h30m":                     now.Add(150 * time.Minute),
		"3d":                        now.AddDate(0, 0, 3),
		"1d12h":                     now.Add(36 * time.Hour),
		"2026-12-01T20:00+09:00":    time.Date(2026, 12, 1, 11, 0, 0, 0, time.UTC),
		"2026-12-01T20:00:30Z":      time.Date(2026, 12, 1, 20, 0, 30, 0, time.UTC),
		"2026-12-01 20:00+09:00":    time.Date(2026, 12, 1, 11, 0, 0, 0, time.UTC),
		"2026-12-01T20:00":          time.Date(2026, 12, 1, 20, 0, 0, 0, seoul),
		"2026-12-01 20:00":          time.Date(2026, 12, 1, 20, 0, 0, 0, seoul),
		"2026-12-01T20:00:00.5Z":    time.Date(2026, 12, 1, 20, 0, 0, 500_000_000, time.UTC),
		"2026-12-01T20:00:00+09:00": time.Date(2026, 12, 1, 11, 0, 0, 0, time.UTC),
	} {
		if got, err := parseMoment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0s", "-1h", "soon", "d", "xd", "-1d", "2026-13-01T20:00Z", "2026-12-01", "99999999d", "1d-2d"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
