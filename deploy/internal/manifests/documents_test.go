package manifests

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const readme = root + "/deploy/README.md"

func TestReadme_NamesExistingSettings(t *testing.T) {
	t.Parallel()
	programs := help(t)
	reasons := read(t, root+"/services/participation/internal/grpcapi/status.go")
	keys := " " + strings.NewReplacer("/", " ").Replace(strings.Join(external, " ")) + " "
	names := regexp.MustCompile(`\b(?:GATEWAY|PARTICIPATION|NATS|DATABASE|LOG)_[A-Z_]+\b`).FindAllString(read(t, readme), -1)
	for _, name := range names {
		_, ofGateway := programs["gateway"][name]
		_, ofParticipation := programs["participation"][name]
		isReason := strings.Contains(reasons, `"`+name+`"`)
		if !ofGateway && !ofParticipation && !isReason && !strings.Contains(keys, " "+name+" ") {
			t.Errorf("there is no setting %s, no secret with that key, and no reason of an error", name)
		}
	}
	if len(names) < 10 {
		t.Errorf("only %d settings are named", len(names))
	}
}

func TestReadme_UpdatesExistingColumns(t *testing.T) {
	t.Parallel()
	var schema strings.Builder
	migrations, err := filepath.Glob(root + "/services/participation/internal/postgres/migrations/*.sql")
	for _, path := range migrations {
		schema.WriteString(read(t, path))
	}
	update := regexp.MustCompile(`UPDATE raffles SET (.+);`).FindStringSubmatch(read(t, readme))
	if err != nil || update == nil {
		t.Fatal("there is no UPDATE in the README", err)
	}
	for _, column := range regexp.MustCompile(`(\w+) =`).FindAllStringSubmatch(update[1], -1) {
		if !regexp.MustCompile(`(?m)^\s+` + column[1] + `\s`).MatchString(schema.String()) {
			t.Errorf("there is no column %s", column[1])
		}
	}
}

// TestDocuments_UseExistingCommands checks the commands of the program rafflecast, and
// their flags, in try.sh and in the README.
func TestDocuments_UseExistingCommands(t *testing.T) {
	t.Parallel()
	command := regexp.MustCompile("(?m)(?:^ +job try-[a-z]+|(?:^ +|`|/ko-app/)rafflecast) ([a-z-]+)((?: --[a-z-]+(?:=\\S+)?)*)")
	flag := regexp.MustCompile(`--[a-z-]+`)
	helps := map[string]string{}
	flags := 0
	for _, match := range command.FindAllStringSubmatch(read(t, dir+"try.sh")+read(t, readme), -1) {
		name := match[1]
		if helps[name] == "" {
			helps[name] = commandHelp(t, name)
		}
		for _, f := range flag.FindAllString(match[2], -1) {
			flags++
			if !regexp.MustCompile(f + `[^a-z-]`).MatchString(helps[name]) {
				t.Errorf("rafflecast %s has no flag %s", name, f)
			}
		}
	}
	if len(helps) < 4 || flags < 10 {
		t.Errorf("found only %d commands with %d flags", len(helps), flags)
	}
}

// commandHelp returns the help of a command of the program rafflecast.
func commandHelp(t *testing.T, command string) string {
	t.Helper()
	help := exec.CommandContext(t.Context(), "go", "run", "./cmd/rafflecast", command, "--help")
	help.Dir = root + "/services/rafflecast"
	text, err := help.CombinedOutput()
	if err != nil {
		t.Errorf("rafflecast %s: %v\n%s", command, err, text)
	}
	return string(text)
}
