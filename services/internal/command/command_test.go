package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// commands are those of a program for tests.
type commands struct {
	Serve serve `cmd:"" help:"Serve until told to stop."`
	Fail  fail  `cmd:"" help:"Fail."`
}

type serve struct {
	Partitions int `name:"partitions" env:"SERVICE_PARTITIONS" default:"4" min:"1" max:"64" unit:"partitions" help:"Transactions at the same time."`

	served int
}

// Help returns the details of the command's help.
func (*serve) Help() string { return "Example:\n\n    program serve --partitions=8" }

// Run runs the command.
func (s *serve) Run(ctx context.Context, log *slog.Logger) error {
	s.served = s.Partitions
	log.Info("serving", "partitions", s.Partitions)
	return ctx.Err()
}

type fail struct {
	Code int `name:"code" env:"CODE" default:"1" min:"1" max:"9" help:"Exit code."`
}

// Run runs the command.
func (f *fail) Run() error {
	switch f.Code {
	case 1:
		return errors.New("one\ntwo")
	case 8:
		return &ExitError{Code: 8}
	}
	return &ExitError{Code: f.Code, Err: errors.New("worse")}
}

// runProgram runs the program with these variables, "NAME=value", and arguments.
func runProgram(variables []string, args ...string) (code int, stdout, stderr string, c *commands) {
	var out, err bytes.Buffer
	lookup := func(name string) (string, bool) {
		for _, v := range variables {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
	c = &commands{}
	code = Run("program", "A program for tests.", c, args, lookup, &out, &err)
	return code, out.String(), err.String(), c
}

func TestRun_ExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string // what is in them; empty: they are
	}{
		{"", 2, "", "Usage: program <command>"},
		{"--log-level=debug", 2, "", "Usage: program <command>"},
		{"help", 0, "Usage: program <command>", ""},
		{"--help", 0, "serve", ""},
		{"-h", 0, "serve", ""},
		{"help serve", 0, "program serve --partitions=8", ""},
		{"serve --help", 0, "(1 to 64 partitions)", ""},
		{"serve -h", 0, "--partitions=4", ""},
		{"serve --nonsense --help", 0, "--log-format", ""},
		{"version", 0, "program ", ""},
		{"--version", 0, "revision ", ""},
		{"serve --log-level=error", 0, "", ""},
		{"serve", 0, "", "msg=serving partitions=4"},
		{"serve --log-format=json", 0, "", `"msg":"serving","partitions":4`},
		{"serve --log-format=xml --log-level=loud", 2, "", "program: --log-level=loud: must be debug, info, warn or error\n"},
		{"serve --log-format=xml --log-level=loud", 2, "", "program: --log-format=xml: must be text or json\n"},
		{"serve --partitins=8", 2, "", `program: unknown flag --partitins, did you mean "--partitions"?`},
		{"serv", 2, "", `program: unknown command serv, did you mean "serve"?`},
		{"serve --partitions=0", 2, "", "program: --partitions=0: must be 1 to 64 partitions\n"},
		{"fail", 1, "", "program: one\nprogram: two\n"},
		{"fail --log-format=json", 1, "", `"level":"ERROR","msg":"the program ends","program":"program","error":"one\ntwo"}`},
		{"serve --partitions=0 --log-format=json", 2, "", `"msg":"the program ends","program":"program","error":"--partitions=0: must be 1 to 64 partitions"}`},
		{"fail --code=7", 7, "", "program: worse\n"},
		{"fail --code=8", 8, "", ""},
	} {
		code, stdout, stderr, _ := runProgram(nil, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) ||
			(stdout == "") != (c.stdout == "") || (stderr == "") != (c.stderr == "") {
			t.Errorf("%q: %d\nstdout: %s\nstderr: %s", c.args, code, stdout, stderr)
		}
	}
}

func TestRun_ReadsTheEnvironment(t *testing.T) {
	t.Parallel()
	code, _, stderr, c := runProgram([]string{"SERVICE_PARTITIONS=9", "LOG_LEVEL=", "LOG_FORMAT=json"}, "serve")
	if code != 0 || c.Serve.served != 9 || !strings.HasPrefix(stderr, "{") {
		t.Errorf("%d, %+v\n%s", code, c.Serve, stderr)
	}
	if code, _, stderr, c := runProgram([]string{"SERVICE_PARTITIONS=65"}, "serve"); code != 2 || c.Serve.served != 0 ||
		stderr != "program: SERVICE_PARTITIONS=65: must be 1 to 64 partitions\n" {
		t.Errorf("%d, %+v\n%s", code, c.Serve, stderr)
	}
}

func TestRun_SettingsAreJSON(t *testing.T) {
	t.Parallel()
	_, stdout, _, _ := runProgram(nil, "settings")
	var got []config.Setting
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	want := []config.Setting{
		{Flag: "--log-level", Type: "slog.Level", Variable: "LOG_LEVEL", Default: "info", Bound: "debug, info, warn or error", Help: "Least level that is logged."},
		{Flag: "--log-format", Type: "string", Variable: "LOG_FORMAT", Default: "text", Bound: "text or json", Help: "How a line is written."},
		{Command: "serve", Flag: "--partitions", Type: "int", Variable: "SERVICE_PARTITIONS", Default: "4", Bound: "1 to 64 partitions", Help: "Transactions at the same time."},
		{Command: "fail", Flag: "--code", Type: "int", Variable: "CODE", Default: "1", Bound: "1 to 9", Help: "Exit code."},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}
