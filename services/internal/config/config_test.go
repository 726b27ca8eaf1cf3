package config

import (
	"context"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

type settings struct {
	address string
	queue   int
	linger  time.Duration
	migrate bool
}

func newSettings(prefixed bool) (*settings, *Set, Section) {
	c, set := &settings{}, NewSet("test")
	sec := set.Section("participation", prefixed)
	sec.String(&c.address, "grpc-address", "127.0.0.1:9090", "gRPC address")
	sec.Int(&c.queue, "queue", 100, "calls that may wait")
	sec.Duration(&c.linger, "linger", time.Second, "how long")
	sec.Bool(&c.migrate, "migrate", false, "migrate at start")
	return c, set, sec
}

func environment(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := pairs[name]; return v, ok }
}

func TestFlagWinsOverVariableOverDefault(t *testing.T) {
	t.Parallel()
	c, set, _ := newSettings(true)
	env := environment(map[string]string{
		"PARTICIPATION_QUEUE": "7", "PARTICIPATION_LINGER": "3s", "PARTICIPATION_GRPC_ADDRESS": "",
	})
	if err := set.Parse([]string{"--participation-queue=9", "--participation-migrate"}, env); err != nil {
		t.Fatal(err)
	}
	if want := (settings{"127.0.0.1:9090", 9, 3 * time.Second, true}); *c != want {
		t.Errorf("got %+v, want %+v", *c, want)
	}
}

func TestAllErrorsAtOnceByTheNameGiven(t *testing.T) {
	t.Parallel()
	_, set, _ := newSettings(false)
	err := set.Parse([]string{"--queue=x", "--nonsense", "--linger", "soon", "extra", "--more"},
		environment(map[string]string{"PARTICIPATION_LINGER": "later"}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`PARTICIPATION_LINGER="later"`, `"x" for flag -queue`, "-nonsense", `"soon" for flag -linger`, `"extra"`, "-more"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	_, set, _ := newSettings(true)
	if err := set.Parse([]string{"--help"}, environment(nil)); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	var b strings.Builder
	set.Usage(&b)
	if want := "  --participation-linger, PARTICIPATION_LINGER\n        how long (default 1s)\n"; !strings.Contains(b.String(), want) {
		t.Errorf("%q is not in:\n%s", want, b.String())
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	_, _, sec := newSettings(true)
	good := sec.Checks()
	good.Between("queue", 1, 1, 5)
	good.DurationBetween("linger", 5, 1, 5)
	good.Address("grpc-address", ":0")
	if err := good.Err(); err != nil {
		t.Errorf("good settings: %v", err)
	}
	bad := sec.Checks()
	bad.Between("queue", 0, 1, 5)
	bad.DurationBetween("linger", time.Minute, 0, time.Second)
	bad.Address("grpc-address", "localhost")
	bad.Address("grpc-address", "localhost:70000")
	want := "--participation-queue=0: must be 1 to 5\n" +
		"--participation-linger=1m0s: must be 0s to 1s\n" +
		"--participation-grpc-address=localhost: must be host:port with a port of 0 to 65535\n" +
		"--participation-grpc-address=localhost:70000: must be host:port with a port of 0 to 65535"
	if got := bad.Err().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAVariableIsNamedWhereItGaveTheValue(t *testing.T) {
	t.Parallel()
	env := environment(map[string]string{"PARTICIPATION_QUEUE": "0"})
	for want, args := range map[string][]string{
		"PARTICIPATION_QUEUE=0: must be 1 to 5": nil, "--queue=7: must be 1 to 5": {"--queue=7"},
	} {
		c, set, sec := newSettings(false)
		if err := set.Parse(args, env); err != nil {
			t.Fatal(err)
		}
		checks := sec.Checks()
		checks.Between("queue", c.queue, 1, 5)
		if got := checks.Err(); got == nil || got.Error() != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

func TestAVariableOfNoServiceIsNamedAsItIs(t *testing.T) {
	t.Parallel()
	var ca string
	_, set, sec := newSettings(false)
	set.String(&ca, "nats-ca", "NATS_CA", "", "file")
	if err := set.Parse(nil, environment(map[string]string{"NATS_CA": "absent"})); err != nil {
		t.Fatal(err)
	}
	checks := sec.Checks()
	checks.NoError("nats-ca", ca, nil, "a file")
	checks.NoError("nats-ca", ca, errors.New("no such file"), "a file")
	if got := checks.Err(); got == nil || got.Error() != "NATS_CA=absent: must be a file: no such file" {
		t.Errorf("got %v", got)
	}
}

func TestTakenPortNamesTheFlag(t *testing.T) {
	t.Parallel()
	_, _, sec := newSettings(true)
	ctx := context.Background()
	l, err := sec.Listen(ctx, "grpc-address", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = sec.Listen(ctx, "grpc-address", l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()+" is taken") ||
		!strings.Contains(err.Error(), "--participation-grpc-address") {
		t.Errorf("got %v", err)
	}
}

func TestArgumentsStandBetweenFlags(t *testing.T) {
	t.Parallel()
	c, set, _ := newSettings(false)
	var from, to string
	set.Argument(&from, "FROM", "where it begins")
	set.Argument(&to, "TO", "where it ends")
	if err := set.Parse([]string{"--queue=9", "here", "--linger=3s", "there", "--migrate"}, environment(nil)); err != nil {
		t.Fatal(err)
	}
	if from != "here" || to != "there" || c.queue != 9 || c.linger != 3*time.Second || !c.migrate {
		t.Errorf("got %s to %s, %+v", from, to, *c)
	}
	if err := set.Parse([]string{"here", "there", "beyond"}, environment(nil)); err == nil || !strings.Contains(err.Error(), `"beyond"`) {
		t.Errorf("one too many: %v", err)
	}
	if err := set.Parse([]string{"here"}, environment(nil)); err == nil || err.Error() != "TO is missing: where it ends" {
		t.Errorf("one too few: %v", err)
	}
}
