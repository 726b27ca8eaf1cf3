package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What the benchmark asks the viewers for. They answer each with a number.
const (
	askOpen       = "open"       // "open N ID ...": open N viewers of each raffle; 0
	askBegin      = "begin"      // begin to measure; 0
	askEnd        = "end"        // end measuring; for how many seconds it was measured
	askDeliveries = "deliveries" // updates that were received meanwhile
	askAge        = "age"        // "age PERCENT": their age in ms at a percentile
	askFinal      = "final"      // "final ID VERSION ...": wait for final versions; 0
	askFaults     = "faults"     // what was wrong until now: a number of faults
	askReset      = "reset"      // close and forget all viewers; 0
)

// failed is the answer if something went wrong, of which standard error has a line.
const failed = -1

// readCommands acts on what standard input has.
func (v *viewers) readCommands() {
	var buf [4096]byte
	n, err := unix.Read(0, buf[:])
	if n <= 0 && err == nil {
		v.stopped = true
		return
	}
	v.input = append(v.input, buf[:max(n, 0)]...)
	for {
		line, rest, isWhole := bytes.Cut(v.input, []byte("\n"))
		if !isWhole {
			return
		}
		v.input = rest
		answer, err := v.answer(strings.Fields(string(line)))
		if err != nil {
			fmt.Fprintln(os.Stderr, "viewers:", err)
			answer = failed
		}
		fmt.Println(answer)
	}
}

func (v *viewers) answer(words []string) (float64, error) {
	if len(words) == 0 {
		return 0, fmt.Errorf("an empty command")
	}
	numbers, err := parseNumbers(words[1:])
	if err != nil {
		return 0, err
	}
	switch command, n := words[0], len(numbers); {
	case command == askOpen && n > 1:
		return 0, v.open(int(numbers[0]), numbers[1:])
	case command == askBegin && n == 0:
		v.begin()
		return 0, nil
	case command == askEnd && n == 0:
		took, err := v.end()
		return took.Seconds(), err
	case command == askDeliveries && n == 0:
		return float64(v.ages.TotalCount()), nil
	case command == askAge && n == 1:
		return float64(v.ages.ValueAtQuantile(float64(numbers[0]))) / 1000, nil
	case command == askFinal && n%2 == 0:
		versions := make(map[int64]int64, n/2)
		for i := 0; i < n; i += 2 {
			versions[numbers[i]] = numbers[i+1]
		}
		return 0, v.awaitFinal(versions)
	case command == askFaults && n == 0:
		return float64(v.faults), nil
	case command == askReset && n == 0:
		v.reset()
		return 0, nil
	}
	return 0, fmt.Errorf("an unknown command: %q", words)
}

func parseNumbers(words []string) (numbers []int64, err error) {
	for _, word := range words {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
