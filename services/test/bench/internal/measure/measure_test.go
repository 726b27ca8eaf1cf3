//go:build unix

package measure

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// childArgument makes the test binary a child that answers with the length of what
// it is asked.
const childArgument = "measure-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		if len(os.Args) > 2 {
			fmt.Println("not today")
			os.Exit(1)
		}
		Ready("127.0.0.1:1", 2)
		ServeParent(func(line string) string {
			switch line {
			case "quiet":
				return ""
			case "burn":
				burn(10 * Tick)
			}
			return fmt.Sprint(len(line))
		})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// burn uses CPU time.
func burn(d time.Duration) {
	for start := SelfCPU(); SelfCPU()-start < d; {
		continue
	}
}

//nolint:paralleltest // other tests use CPU time between its readings
func TestTreeCPU_CountsChildren(t *testing.T) {
	if stat(os.Getpid()).PID == 0 {
		t.Skip("there is no /proc")
	}
	c, err := Start(t.Context(), []string{os.Args[0], childArgument}, (*exec.Cmd).Start)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	self, tree := CPU(os.Getpid()), TreeCPU(os.Getpid())
	if _, err := c.Ask("burn"); err != nil {
		t.Fatal(err)
	}
	// In this order again: TreeCPU uses more CPU time the more processes there are, but only
	// after it has read that of its own.
	selfAfter, treeAfter := CPU(os.Getpid()), TreeCPU(os.Getpid())
	if children := (treeAfter - tree) - (selfAfter - self); children < 8*Tick {
		t.Errorf("children used %v of %v", children, 10*Tick)
	}
}

func TestChild_AnswersUntilItIsStopped(t *testing.T) {
	t.Parallel()
	c, err := Start(t.Context(), []string{os.Args[0], childArgument}, (*exec.Cmd).Start)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"127.0.0.1:1", "2"}; !slices.Equal(c.Ready, want) {
		t.Errorf("ready with %v, want %v", c.Ready, want)
	}
	if err := c.Tell("quiet"); err != nil {
		t.Error(err)
	}
	if got, err := c.Ask("four"); err != nil || got != 4 {
		t.Errorf("got %v, %v", got, err)
	}
	c.Stop()
	if !c.cmd.ProcessState.Success() {
		t.Errorf("the child ended with %v", c.cmd.ProcessState)
	}
	if _, err := c.Ask("four"); err == nil {
		t.Error("it answers after it has ended")
	}
}

func TestStart_FailsIfTheChildDoesNotBecomeReady(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), []string{os.Args[0], childArgument, "fail"}, (*exec.Cmd).Start)
	if err == nil || !strings.Contains(err.Error(), "not today") {
		t.Errorf("got %v", err)
	}
}

func TestMedian_IsTheMiddleOfTheSorted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{9, 1, 5, 7}, 6}} {
		if got := Median(c.values); got != c.want {
			t.Errorf("of %v: %v, want %v", c.values, got, c.want)
		}
	}
}

func TestMedianRatio_ComparesWithinATurn(t *testing.T) {
	t.Parallel()
	// In the second turn everything was ten times slower.
	if got := MedianRatio([]float64{500, 50, 510}, []float64{1000, 100, 1000}); got != 0.5 {
		t.Errorf("got %v", got)
	}
}

func TestCPU_AgreesWithTheKernel(t *testing.T) {
	t.Parallel()
	pid := os.Getpid()
	if CPU(pid) == 0 && stat(pid).PID == 0 {
		t.Skip("there is no /proc")
	}
	before, tree, machine := CPU(pid), TreeCPU(pid), MachineCPU()
	burn(5 * Tick)
	for name, used := range map[string]int64{
		"process": int64(CPU(pid) - before), "tree": int64(TreeCPU(pid) - tree), "machine": int64(MachineCPU() - machine),
	} {
		if used < int64(4*Tick) {
			t.Errorf("%s: %d ns of %d ns", name, used, 5*Tick)
		}
	}
}

func TestMemory_IsRead(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("there is no /proc")
	}
	for name, read := range map[string]func() (int64, error){
		"resident":  func() (int64, error) { return Resident(os.Getpid()) },
		"anonymous": SelfAnonymous,
		"slab":      Slab,
	} {
		if bytes, err := read(); err != nil || bytes < 1<<20 {
			t.Errorf("%s: %d, %v", name, bytes, err)
		}
	}
}
