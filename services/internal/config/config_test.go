package config

import (
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// service has a setting of each kind.
type service struct {
	Address string        `name:"address" env:"SERVICE_ADDRESS" default:"127.0.0.1:9090" is:"address" help:"Address."`
	URL     string        `name:"database-url" env:"DATABASE_URL" required:"" secret:"" form:"postgres://host/database" help:"Database."`
	Queue   int           `name:"queue" env:"SERVICE_QUEUE" default:"100" min:"1" max:"1000" unit:"calls" help:"Calls that wait."`
	Buffer  int           `name:"buffer" env:"SERVICE_BUFFER" default:"0" min:"10" zero:"the kernel decides" help:"Buffer."`
	Least   time.Duration `name:"least" env:"SERVICE_LEAST" default:"1s" min:"0s" max:"1m" help:"Least."`
	Most    time.Duration `name:"most" env:"SERVICE_MOST" default:"5s" min:"0s" max:"1m" zero:"never" help:"Most."`
	Mode    string        `name:"mode" env:"SERVICE_MODE" default:"fast" enum:"fast,slow,odd" help:"Mode."`
	Migrate bool          `name:"migrate" env:"SERVICE_MIGRATE" default:"${migrate=false}" help:"Migrate."`
}

// Rules implements Rules.
func (s *service) Rules(check *Checks) {
	check.That(s.Most >= s.Least, &s.Most, "at least --least")
}

// program has the settings of the service twice: by themselves, and with a prefix.
type program struct {
	Serve struct {
		Service service `embed:""`
	} `cmd:"" help:"Serve."`
	All struct {
		Service service    `embed:"" prefix:"service-" set:"migrate=true"`
		Log     slog.Level `name:"log-level" env:"LOG_LEVEL" default:"info" form:"debug, info, warn or error" help:"Level."`
	} `cmd:"" help:"Serve everything."`
	Load struct {
		From string   `arg:"" form:"a place" help:"Begin."`
		To   []string `arg:"" optional:"" form:"places" help:"End."`
		Fast bool     `name:"fast" help:"Fast."`
		Size int      `name:"size" env:"SIZE" required:"" min:"1" help:"Size."`
	} `cmd:"" help:"Put load on it."`
}

const database = "--database-url=postgres://localhost/x"

// parse returns what the arguments and variables ("NAME=value") make of the program,
// and the lines of the error.
func parse(t *testing.T, variables []string, args ...string) (p *program, lines []string) {
	t.Helper()
	p = &program{}
	_, err := newParser(p, variables).Parse(args)
	if err != nil {
		lines = strings.Split(err.Error(), "\n")
	}
	return p, lines
}

func newParser(p *program, variables []string) *Parser {
	lookup := func(name string) (string, bool) {
		for _, v := range variables {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
	return NewParser(p, lookup, kong.Name("program"), kong.Writers(io.Discard, io.Discard))
}

func TestConfig_FlagWinsOverVariable(t *testing.T) {
	t.Parallel()
	variables := []string{"SERVICE_QUEUE=7", "SERVICE_LEAST=3s", "SERVICE_ADDRESS=", "SERVICE_MIGRATE=false", "DATABASE_URL=postgres://a/b"}
	p, lines := parse(t, variables, "all", "--service-queue=9", "--service-buffer", "10", "--log-level=WARN")
	if lines != nil {
		t.Fatal(lines)
	}
	want := service{"127.0.0.1:9090", "postgres://a/b", 9, 10, 3 * time.Second, 5 * time.Second, "fast", false}
	if p.All.Service != want || p.All.Log != slog.LevelWarn {
		t.Errorf("got %+v, want %+v", p.All, want)
	}
}

func TestConfig_DefaultOfAnEmbeddedStruct(t *testing.T) {
	t.Parallel()
	if p, lines := parse(t, nil, "all", "--service-"+database[2:]); lines != nil || !p.All.Service.Migrate {
		t.Errorf("in all: %v, %+v", lines, p.All)
	}
	if p, lines := parse(t, nil, "serve", database); lines != nil || p.Serve.Service.Migrate {
		t.Errorf("in serve: %v, %+v", lines, p.Serve)
	}
}

func TestConfig_ReportsAllErrors(t *testing.T) {
	t.Parallel()
	_, lines := parse(t, []string{"SERVICE_QUEUE=none", "SERVICE_BUFFER=9", "SERVICE_MIGRATE=perhaps"}, "serve",
		"--leats=3", "--least=soon", "--most", "2m", "extra", "--address=localhost:70000", "--mode=odder", "--nonsense", "--database-url")
	want := []string{
		`unknown flag --leats, did you mean "--least"?`,
		`unexpected argument "extra"`,
		`unknown flag --nonsense`,
		`--database-url (DATABASE_URL) has no value: it must be postgres://host/database`,
		`SERVICE_QUEUE=none: must be a whole number, 1 to 1000 calls`,
		`--least=soon: must be a duration like 1m30s, 0s to 1m`,
		`SERVICE_MIGRATE=perhaps: must be true or false`,
		`--address=localhost:70000: must be host:port with a port of 0 to 65535`,
		`SERVICE_BUFFER=9: must be at least 10, or 0: the kernel decides`,
		`--most=2m0s: must be 0s to 1m, or 0s: never`,
		`--mode=odder: must be fast, slow or odd`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestConfig_RulesNameTheSettingAsGiven(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		variables []string
		args      []string
		want      []string
	}{
		{nil, []string{"serve", "--least=6s"}, []string{"--most=5s: must be at least --least"}},
		{nil, []string{"all", "--service-most=500ms"}, []string{"--service-most=500ms: must be at least --least"}},
		{[]string{"SERVICE_MOST=500ms"}, []string{"all"}, []string{"SERVICE_MOST=500ms: must be at least --least"}},
		{[]string{"SERVICE_MOST=500ms"}, []string{"all", "--service-most=7s"}, nil},
		// A value that is wrong by itself is reported once.
		{nil, []string{"serve", "--least=50s", "--most=-1s"}, []string{"--most=-1s: must be 0s to 1m, or 0s: never"}},
		{nil, []string{"serve", "--most=soon", "--least=50s"}, []string{"--most=soon: must be a duration like 1m30s, 0s to 1m, or 0s: never"}},
		// The default stands in for a value that cannot be read.
		{nil, []string{"serve", "--most=500ms", "--least=x"}, []string{"--least=x: must be a duration like 1m30s, 0s to 1m", "--most=500ms: must be at least --least"}},
	} {
		_, lines := parse(t, append(c.variables, "DATABASE_URL=postgres://a/b"), c.args...)
		if !slices.Equal(lines, c.want) {
			t.Errorf("%v %v: got %q, want %q", c.variables, c.args, lines, c.want)
		}
	}
}

func TestConfig_HidesSecrets(t *testing.T) {
	t.Parallel()
	const url = "postgres://me:secret@localhost/x"
	for _, args := range [][]string{
		{"serve", "--databse-url=" + url},
		{"serve", "--databse-url", url},
		{"serve", "--databse-url", "host=localhost password=secret"},
		{"serve", "--database-url=" + url, url},
		{"serve", "--queue", "--database-url=" + url, "--address=x"},
		{url},
	} {
		_, lines := parse(t, []string{"DATABASE_URL=" + url}, args...)
		if lines == nil || strings.Contains(strings.Join(lines, "\n"), "secret") {
			t.Errorf("%v: got %q", args, lines)
		}
	}
	var s struct {
		URL string `name:"url" secret:"" is:"url" default:"http://localhost" help:"URL."`
	}
	s.URL = "ftp://me:secret@localhost"
	if err := Validate(&s); err == nil || err.Error() != "--url=…: must be http://host:port or https://host:port" {
		t.Errorf("got %v", err)
	}
	var other struct {
		URL string `name:"url" is:"url" default:"http://localhost" help:"URL."`
	}
	for url, want := range map[string]string{
		"ftp://me:secret@localhost": "ftp://…@localhost", "http:// me:secret@x,ftp://secret@y/z": "http://…@x,ftp://…@y/z",
		"ftp://localhost/a@b": "ftp://localhost/a@b", "ftp://me:s@cret@localhost": "ftp://…@localhost",
	} {
		other.URL = url
		if err := Validate(&other); err == nil || err.Error() != "--url="+want+": must be http://host:port or https://host:port" {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func TestConfig_MissingValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"serve"}, []string{"--database-url (DATABASE_URL) has no value: it must be postgres://host/database"}},
		{[]string{"serve", database, "--queue"}, []string{"--queue (SERVICE_QUEUE) has no value: it must be a whole number, 1 to 1000 calls"}},
		{[]string{"serve", database, "--queue", "--migrate"}, []string{"--queue (SERVICE_QUEUE) has no value: it must be a whole number, 1 to 1000 calls"}},
		{[]string{"serve", database, "--address="}, []string{"--address (SERVICE_ADDRESS) has no value: it must be host:port with a port of 0 to 65535"}},
		{[]string{"load"}, []string{"--size (SIZE) has no value: it must be at least 1", "<from> has no value: it must be a place"}},
		{[]string{"load", "--size=0", "x"}, []string{"--size=0: must be at least 1"}},
		// What takes the place of a missing value is no value.
		{[]string{"serve", database, "--queue", "--nonsense", "5"}, []string{
			"unknown flag --nonsense", "--queue (SERVICE_QUEUE) has no value: it must be a whole number, 1 to 1000 calls",
		}},
	} {
		if _, lines := parse(t, nil, c.args...); !slices.Equal(lines, c.want) {
			t.Errorf("%v: got %q, want %q", c.args, lines, c.want)
		}
	}
}

func TestConfig_Arguments(t *testing.T) {
	t.Parallel()
	p, lines := parse(t, nil, "load", "here", "--fast", "--size=1", "--", "-x", "--beyond=1")
	if lines != nil || p.Load.From != "here" || !p.Load.Fast || !slices.Equal(p.Load.To, []string{"-x", "--beyond=1"}) {
		t.Errorf("got %+v, %v", p.Load, lines)
	}
	if _, lines := parse(t, nil, "serve", database, "--", "x", "--queue=y"); !slices.Equal(lines, []string{`unexpected argument "--"`}) {
		t.Errorf("serve takes no arguments: got %q", lines)
	}
}

func TestConfig_Commands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want error
	}{
		{nil, ErrNoCommand},
		{[]string{"--help"}, ErrHelp},
		{[]string{"-h"}, ErrHelp},
		{[]string{"serve", "--help"}, ErrHelp},
		{[]string{"serve", "--nonsense", "--queue=x", "-h"}, ErrHelp},
	} {
		if _, err := newParser(&program{}, nil).Parse(c.args); !errors.Is(err, c.want) {
			t.Errorf("%v: got %v, want %v", c.args, err, c.want)
		}
	}
	if _, lines := parse(t, nil, "srve", "--queue=x"); !slices.Equal(lines, []string{`unknown command srve, did you mean "serve"?`}) {
		t.Errorf("got %q", lines)
	}
}

func TestValidate_ChecksTagsAndRules(t *testing.T) {
	t.Parallel()
	var all struct {
		Service service `embed:"" prefix:"service-"`
	}
	SetDefaults(&all)
	all.Service.URL = "postgres://a/b"
	if err := Validate(&all); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	all.Service.Queue, all.Service.URL, all.Service.Least, all.Service.Mode = 1001, "", 6*time.Second, ""
	want := "--service-database-url (DATABASE_URL) has no value: it must be postgres://host/database\n" +
		"--service-queue=1001: must be 1 to 1000 calls\n" +
		"--service-mode (SERVICE_MODE) has no value: it must be fast, slow or odd\n" +
		"--service-most=5s: must be at least --least"
	if err := Validate(&all); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	for _, queue := range []int{1, 1000} {
		all.Service = service{Address: ":0", URL: "x", Queue: queue, Buffer: 10, Mode: "odd"}
		if err := Validate(&all); err != nil {
			t.Errorf("a bound itself: %v", err)
		}
	}
}

// common is embedded in others by its type, which is not exported.
type common struct {
	Service service `embed:""`
}

func TestValidate_ChecksRulesWithinEmbeddedTypes(t *testing.T) {
	t.Parallel()
	var s struct {
		common
		Other int `name:"other" default:"1" min:"1" help:"Other."`
	}
	SetDefaults(&s)
	s.Service.URL, s.Service.Least = "postgres://a/b", 6*time.Second
	if err := Validate(&s); err == nil || err.Error() != "--most=5s: must be at least --least" {
		t.Errorf("got %v", err)
	}
}

// Not parallel: the environment is the process's.
func TestSetDefaults_IgnoresTheEnvironment(t *testing.T) {
	t.Setenv("SERVICE_QUEUE", "7")
	var s service
	SetDefaults(&s)
	if want := (service{"127.0.0.1:9090", "", 100, 0, time.Second, 5 * time.Second, "fast", false}); s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

// Not parallel: the environment is the process's.
func TestConfig_ReadsVariablesByLookupOnly(t *testing.T) {
	t.Setenv("SERVICE_QUEUE", "none")
	t.Setenv("SERVICE_BUFFER", "")
	if p, lines := parse(t, nil, "serve", database); lines != nil || p.Serve.Service.Queue != 100 {
		t.Errorf("got %+v, %v", p.Serve, lines)
	}
}

func TestListen_TakenPortNamesTheFlag(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "--grpc-address", "127.0.0.1:0", ClientPatience)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(t.Context(), "--grpc-address", l.Addr().String(), ClientPatience)
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()+" is taken") || !strings.Contains(err.Error(), "--grpc-address") {
		t.Errorf("got %v", err)
	}
}
