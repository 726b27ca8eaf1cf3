package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/abuse"
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

// bareVariable makes the test binary a server that does nothing but answer each request with
// so many bytes or, if these are 0, close each connection: what an attack on it does to
// honest callers elsewhere, it does by taking the machine.
const bareVariable = "RAFFLECAST_BARE"

// serveBareInstead serves until it is killed, if the environment says so. It writes its
// address to its standard output.
func serveBareInstead() {
	size, err := strconv.Atoi(os.Getenv(bareVariable))
	if err != nil {
		return
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err == nil {
		fmt.Println(l.Addr())
	}
	if err == nil && size > 0 {
		answer := make([]byte, size)
		server := &http.Server{ReadHeaderTimeout: answerTimeout, WriteTimeout: answerTimeout}
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) })
		err = server.Serve(l)
	}
	for err == nil {
		var c net.Conn
		if c, err = l.Accept(); err == nil {
			_ = c.Close()
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// startBare starts such a server, which ends with the test, and returns its address.
func startBare(t *testing.T, size int) (address string) {
	t.Helper()
	bare := self(t, fmt.Sprintf("%s=%d", bareVariable, size))
	output, err := bare.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bare.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bare.Process.Kill()
		_ = bare.Wait()
	})
	if _, err := fmt.Fscanln(output, &address); err != nil {
		t.Fatal(err)
	}
	return address
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

// honest are the latencies of honest callers, by what they do.
type honest map[string][]time.Duration

func (h honest) p99(what string) time.Duration {
	sorted := slices.Sorted(slices.Values(h[what]))
	return sorted[len(sorted)*99/100]
}

// add adds the latencies of other calls.
func (h honest) add(more honest) {
	for what, latencies := range more {
		h[what] = append(h[what], latencies...)
	}
}

// answerTimeout is how long an honest caller waits.
const answerTimeout = 5 * time.Second

// honestInterval is the time between two honest calls of a kind.
const honestInterval = 10 * time.Millisecond

// callHonestly calls a hundred times a second for a while.
func (b *testBundle) callHonestly(t *testing.T, id int64, prefix string, d time.Duration) honest {
	t.Helper()
	h, mu, failed := honest{}, sync.Mutex{}, atomic.Int64{}
	defer func() {
		if n := failed.Load(); n > 0 {
			t.Logf("%s: %d calls failed", prefix, n)
		}
	}()
	timed := func(what string, call func() error) {
		start := time.Now()
		err := call()
		mu.Lock()
		defer mu.Unlock()
		if err != nil && failed.Add(1) <= 3 {
			t.Errorf("%s: %v", what, err)
		}
		h[what] = append(h[what], time.Since(start))
	}
	// Honest callers keep their connections.
	client := &http.Client{Timeout: answerTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	defer client.CloseIdleConnections()
	var calls sync.WaitGroup
	tick := time.NewTicker(honestInterval)
	defer tick.Stop()
	for i := range int(d / honestInterval) {
		<-tick.C
		calls.Go(func() {
			timed("Enter", func() error {
				ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
				defer cancel()
				_, err := b.client.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: id, MemberId: prefix + strconv.Itoa(i)})
				return err
			})
		})
		calls.Go(func() {
			timed("odds", func() error {
				resp, err := client.Get(fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, id))
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					return errors.New(resp.Status)
				}
				return nil
			})
		})
	}
	calls.Wait()
	return h
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
)

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
	b := setupWith(t, []string{"GOMEMLIMIT=200MiB"}, []string{"GOMEMLIMIT=160MiB", "GATEWAY_TRUSTED_PROXIES=192.0.2.1/32"})
	id := b.client.create(t, "A", 1)
	b.awaitRaffle(t, id)
	b.callHonestly(t, id, "warm-", time.Second)
	quiet, attacked := honest{}, map[string]honest{}
	services := abuse.Targets{HTTP: strings.TrimPrefix(b.web, "http://"), GRPC: b.grpc}
	page := b.page(t)
	for i, kind := range append(slices.Sorted(maps.Keys(abuse.Kinds())), bareReconnecting, bareNeverReading) {
		for from, addresses := range crowds {
			name := kind + "_" + from
			if only := os.Getenv("ABUSE_ONLY"); !regexp.MustCompile(only).MatchString(name) {
				continue
			}
			quiet.add(b.callHonestly(t, id, name+"-quiet-", d/2))
			at, attacks := services, strings.TrimPrefix(kind, bare)
			switch kind {
			case bareReconnecting:
				at = abuse.Targets{HTTP: startBare(t, 0)}
			case bareNeverReading:
				at = abuse.Targets{HTTP: startBare(t, page)}
			}
			at.From, at.Addresses = netip.AddrFrom4([4]byte{127, byte(addresses), byte(i + 1), 2}), addresses
			stop := attack(t, at, attacks)
			profiled := b.profile(t, name, d)
			attacked[name] = b.callHonestly(t, id, name+"-", d)
			profiled()
			stop()
			p, g := b.participation.resident(), b.gateway.resident()
			t.Logf("%-20s participation has %d MiB, the gateway %d MiB", name, p, g)
			if p > memoryBound || g > memoryBound {
				t.Errorf("%s: participation has %d MiB, the gateway %d MiB, more than %d MiB", name, p, g, memoryBound)
			}
			b.callHonestly(t, id, name+"-after-", time.Second) // until the attack is over
		}
	}
	for _, what := range []string{"Enter", "odds"} {
		before := quiet.p99(what)
		t.Logf("RESULT abuse_quiet_%s_p99_ms %.1f", what, before.Seconds()*1000)
		for _, name := range slices.Sorted(maps.Keys(attacked)) {
			after := attacked[name].p99(what)
			ratio := after.Seconds() / before.Seconds()
			t.Logf("RESULT abuse_%s_%s_p99_ratio %.2f (%.1f ms)", name, what, ratio, after.Seconds()*1000)
			if ratio > 2 && !strings.HasPrefix(name, bare) {
				t.Errorf("%s: the p99 of %s is %v, more than twice that of a quiet time, %v", name, what, after, before)
			}
		}
	}
}

// page returns how long the page is that never-reading clients ask for, in bytes.
func (b *testBundle) page(t *testing.T) int {
	t.Helper()
	resp, err := http.Get(b.web + "/")
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
	if err := crowd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = crowd.Process.Kill()
		_ = crowd.Wait()
	}
}
