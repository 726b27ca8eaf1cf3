package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
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
// services, how many clients of each kind, the subnet that they have, and the kinds.
const attackVariable = "RAFFLECAST_ATTACK"

// attackInstead attacks until it is killed, if the environment says so.
func attackInstead() {
	fields := strings.Fields(os.Getenv(attackVariable))
	if len(fields) < 5 {
		return
	}
	// What the attackers themselves compute must not count: their machine is another.
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19)
	n, err := strconv.Atoi(fields[2])
	subnet, errSubnet := strconv.Atoi(fields[3])
	if err = errors.Join(err, errSubnet); err == nil {
		_, err = abuse.Attack(context.Background(), abuse.Targets{HTTP: fields[0], GRPC: fields[1], Subnet: byte(subnet)}, n, fields[4:]...)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// honest are the latencies of honest callers, by what they do.
type honest map[string][]time.Duration

func (h honest) p99(what string) time.Duration {
	sorted := slices.Sorted(slices.Values(h[what]))
	return sorted[len(sorted)*99/100]
}

// answerTimeout is how long an honest caller waits.
const answerTimeout = 5 * time.Second

// callHonestly calls 50 times a second for a while.
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
	client := &http.Client{Timeout: answerTimeout}
	var calls sync.WaitGroup
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range int(d / (20 * time.Millisecond)) {
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

// TestAbuse_HonestCallersAreNotDelayed lets 1,000 hostile clients attack both services,
// each kind by itself, while honest callers go on. It runs by make abuse, on a machine
// that has nothing else to do: it measures times.
func TestAbuse_HonestCallersAreNotDelayed(t *testing.T) { //nolint:paralleltest // it measures times
	seconds, _ := strconv.Atoi(os.Getenv("ABUSE_SECONDS"))
	if seconds == 0 {
		t.Skip("it measures times: `make abuse` runs it")
	}
	const clients, memory = 1000, 256 // MiB, which is the limit in deploy/kubernetes/base
	d := time.Duration(seconds) * time.Second
	b := setupWith(t, []string{"GOMEMLIMIT=200MiB"}, []string{"GOMEMLIMIT=160MiB"})
	id := b.client.create(t, "A", 1)
	b.awaitRaffle(t, id)
	b.callHonestly(t, id, "warm-", time.Second)
	quiet := b.callHonestly(t, id, "quiet-", d)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i, kind := range slices.Sorted(maps.Keys(abuse.Kinds())) {
		if only := os.Getenv("ABUSE_KINDS"); only != "" && !slices.Contains(strings.Split(only, ","), kind) {
			continue
		}
		attack := exec.Command(executable)
		attack.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d %d %s", attackVariable, strings.TrimPrefix(b.web, "http://"), b.grpc, clients, i+1, kind))
		attack.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := attack.Start(); err != nil {
			t.Fatal(err)
		}
		attacked := b.callHonestly(t, id, kind+"-", d)
		_ = attack.Process.Kill()
		_ = attack.Wait()
		for _, what := range []string{"Enter", "odds"} {
			before, after := quiet.p99(what), attacked.p99(what)
			t.Logf("%-16s p99 of %-6s %8v, quiet %8v", kind, what, after.Round(100*time.Microsecond), before.Round(100*time.Microsecond))
			if after > 2*before {
				t.Errorf("%s: the p99 of %s is %v, more than twice that of a quiet time, %v", kind, what, after, before)
			}
		}
		p, g := b.participation.resident(), b.gateway.resident()
		t.Logf("%-16s participation has %d MiB, the gateway %d MiB", kind, p, g)
		if p > memory || g > memory {
			t.Errorf("%s: participation has %d MiB, the gateway %d MiB, more than %d MiB", kind, p, g, memory)
		}
	}
}
