package e2e_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/rafflecast/rafflecast/services/test/abuse"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// attackVariable makes the test binary a crowd of hostile clients: the addresses of the
// services, how many clients of each kind, the first of their addresses, how many these
// are, and the kinds.
const attackVariable = "RAFFLECAST_ATTACK"

// attackInstead attacks until it is killed, if the environment says so.
func attackInstead() {
	fields := strings.Fields(os.Getenv(attackVariable))
	if len(fields) < 6 {
		return
	}
	n, errNumber := strconv.Atoi(fields[2])
	from, errFrom := netip.ParseAddr(fields[3])
	addresses, errAddresses := strconv.Atoi(fields[4])
	err := errors.Join(errNumber, errFrom, errAddresses)
	if err == nil {
		_, err = abuse.Attack(context.Background(), abuse.Targets{HTTP: fields[0], GRPC: fields[1], From: from, Addresses: addresses}, n, fields[5:]...)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// self returns a command that runs the test binary with a variable. It ends with this
// process at the latest.
func self(t *testing.T, variable string, before ...string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := slices.Concat(before, []string{executable})
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), variable)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// resident returns the resident memory of a program in MiB.
func (p *program) resident() int {
	p.t.Helper()
	process, err := procfs.NewProc(p.cmd.Process.Pid)
	if err != nil {
		p.t.Fatal(err)
	}
	stat, err := process.Stat()
	if err != nil {
		p.t.Fatal(err)
	}
	return stat.ResidentMemory() >> 20
}

// profile takes CPU profiles of both services into the directory ABUSE_PROFILES, if it is
// set. What it returns waits for them.
func (b *testBundle) profile(t *testing.T, kind string, d time.Duration) (wait func()) {
	t.Helper()
	dir := os.Getenv("ABUSE_PROFILES")
	if dir == "" {
		return func() {}
	}
	var taken sync.WaitGroup
	for name, ops := range map[string]string{"participation": "http://" + b.ops, "gateway": b.webOps} {
		taken.Go(func() {
			resp, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", ops, int(d.Seconds())))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, kind+"-"+name), text, 0o600)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	return taken.Wait
}

// What is measured: 1,000 clients of each kind, and how much memory a service may take,
// in MiB, which is the limit in deploy/kubernetes/base.
const (
	hostileClients = 1000
	memoryBound    = 256
)

// The yardsticks are attacks on a bare server: no service could do less and be there.
const (
	bareReconnecting = "bare-reconnecting" // it closes each connection
	bareNeverReading = "bare-never-reading"
	bare             = "bare-" // begins both
	// plain begins attacks on a server of net/http from which honest callers read the odds,
	// too: what these notice is what they notice at the simplest server.
	plain = "plain-"
)

// attacks returns the names of all attacks, each before its yardsticks.
func attacks() (names []string) {
	for _, kind := range slices.Sorted(maps.Keys(abuse.Kinds())) {
		names = append(names, kind)
		if kind == "reconnecting" || kind == "never-reading" {
			names = append(names, plain+kind, bare+kind)
		}
	}
	return names
}

// crowds are how many addresses the hostile clients have, by name.
var crowds = map[string]int{"one": 1, "many": 200}

// TestAbuse_HonestCallersAreNotDelayed lets 1,000 hostile clients attack both services,
// each kind by itself, from one address and from many, while honest callers go on. Before
// each attack there is a quiet time; the quiet value is that of all of them. It runs by
// make abuse, on a machine that has nothing else to do: it measures times.
//
// The attackers are of the scheduling class idle: they compute when nobody else does, as
// if they had a machine of their own. So what is measured is what the services do.
func TestAbuse_HonestCallersAreNotDelayed(t *testing.T) { //nolint:paralleltest // it measures times
	seconds, _ := strconv.Atoi(os.Getenv("ABUSE_SECONDS"))
	if seconds == 0 {
		t.Skip("it measures times: `make abuse` runs it")
	}
	d := time.Duration(seconds) * time.Second
	// Browsers reach the gateway without a proxy: loopback is not trusted.
	gateway := []string{"GOMEMLIMIT=160MiB", "GATEWAY_TRUSTED_PROXIES=192.0.2.1/32"}
	isSecure := os.Getenv("ABUSE_TLS") != ""
	if isSecure {
		gateway = append(gateway, withTLS(t)...)
	}
	b := setupWith(t, []string{"GOMEMLIMIT=200MiB"}, gateway)
	if isSecure {
		b.web = strings.Replace(b.web, "http:", "https:", 1)
	}
	id := b.client.create(t, "A", 1)
	b.awaitRaffle(t, id)
	services := abuse.Targets{HTTP: strings.TrimPrefix(b.web, "http://"), GRPC: b.grpc}
	page, answer := length(t, b.web+"/"), length(t, fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, id))
	plainServer := abuse.Targets{HTTP: startBare(t, page, answer)}
	ours, atPlain := newReader(t, b.web, id), newReader(t, "http://"+plainServer.HTTP, id)
	b.callHonestly(t, id, ours, "warm-", time.Second)
	quiet, quietPlain, attacked := honest{}, honest{}, map[string]honest{}
	turns, _ := strconv.Atoi(os.Getenv("ABUSE_TURNS"))
	for turn := range max(1, turns) {
		for i, kind := range attacks() {
			for from, addresses := range crowds {
				name := kind + "_" + from
				if only := os.Getenv("ABUSE_ONLY"); !regexp.MustCompile(only).MatchString(name) {
					continue
				}
				at, reads, calm := services, ours, quiet
				switch {
				case kind == bareReconnecting:
					at = abuse.Targets{HTTP: startBare(t, 0, 0)}
				case kind == bareNeverReading:
					at = abuse.Targets{HTTP: startBare(t, page, answer)}
				case strings.HasPrefix(kind, plain):
					at, reads, calm = plainServer, atPlain, quietPlain
				}
				prefix := fmt.Sprintf("%s-%d-", name, turn)
				calm.add(b.callHonestly(t, id, reads, prefix+"quiet-", d/2))
				at.From, at.Addresses = netip.AddrFrom4([4]byte{127, byte(addresses), byte(i + 1), 2}), addresses
				stop := attack(t, at, strings.TrimPrefix(strings.TrimPrefix(kind, bare), plain))
				profiled := b.profile(t, name, d)
				h := b.callHonestly(t, id, reads, prefix, d)
				profiled()
				stop()
				p, g := b.participation.resident(), b.gateway.resident()
				t.Logf("%-20s participation has %d MiB, the gateway %d MiB", name, p, g)
				if p > memoryBound || g > memoryBound {
					t.Errorf("%s: participation has %d MiB, the gateway %d MiB, more than %d MiB", name, p, g, memoryBound)
				}
				if attacked[name] == nil {
					attacked[name] = honest{}
				}
				attacked[name].add(h)
				t.Logf("TURN %s %d Enter %.1f odds %.1f", name, turn, h.p99("Enter").Seconds()*1000, h.p99("odds").Seconds()*1000)
				b.callHonestly(t, id, reads, prefix+"after-", time.Second) // until the attack is over
			}
		}
	}
	for _, what := range []string{"Enter", "odds"} {
		for _, name := range slices.Sorted(maps.Keys(attacked)) {
			before := quiet.p99(what)
			if strings.HasPrefix(name, plain) {
				before = quietPlain.p99(what)
			}
			after := attacked[name].p99(what)
			ratio := after.Seconds() / before.Seconds()
			t.Logf("RESULT abuse_%s_%s_p99_ratio %.2f (%.1f ms, quiet %.1f ms)", name, what, ratio, after.Seconds()*1000, before.Seconds()*1000)
			if ratio > 2 && !strings.HasPrefix(name, bare) && !strings.HasPrefix(name, plain) {
				t.Errorf("%s: the p99 of %s is %v, more than twice that of a quiet time, %v", name, what, after, before)
			}
		}
	}
}

// withTLS returns the variables that give a gateway TLS, and has this process believe its
// certificate until the test ends.
func withTLS(t *testing.T) []string {
	t.Helper()
	authority := testenv.NewAuthority(t)
	dir := authority.Dir()
	transport := http.DefaultTransport.(*http.Transport)
	before := transport.TLSClientConfig
	transport.TLSClientConfig = &tls.Config{RootCAs: authority.Pool()}
	t.Cleanup(func() { transport.TLSClientConfig = before })
	return []string{"GATEWAY_TLS_CERT=" + filepath.Join(dir, "tls.crt"), "GATEWAY_TLS_KEY=" + filepath.Join(dir, "tls.key")}
}

// length returns how many bytes are at a URL.
func length(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || len(text) == 0 {
		t.Fatalf("%d bytes: %v", len(text), err)
	}
	return len(text)
}

// attack lets hostile clients of a kind loose. What it returns ends them.
func attack(t *testing.T, at abuse.Targets, kind string) (stop func()) {
	t.Helper()
	variable := fmt.Sprintf("%s=%s %s %d %s %d %s", attackVariable, at.HTTP, cmp.Or(at.GRPC, at.HTTP), hostileClients, at.From, at.Addresses, kind)
	crowd := self(t, variable, "chrt", "--idle", "0")
	crowd.SysProcAttr.Setsid = true
	if err := crowd.Start(); err != nil {
		t.Fatal(err)
	}
	// The kernel may share the processors among sessions before it looks at classes
	// (sched(7), autogroup).
	group := fmt.Sprintf("/proc/%d/autogroup", crowd.Process.Pid)
	if err := os.WriteFile(group, []byte("19"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return func() {
		_ = crowd.Process.Kill()
		_ = crowd.Wait()
	}
}
