package fuzz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// stopDelay is how long go test has to end after it was interrupted.
	stopDelay = 10 * time.Second
	// buildTime is how long a target may take besides: to build, to run its seeds and
	// the inputs that it has kept, and to make a failing input small.
	buildTime = 10 * time.Minute
)

// Run fuzzes every target and writes to out how many inputs each has tried. It returns
// an error if a target has found something, or has tried nothing.
func Run(ctx context.Context, cfg Config, out io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	all, err := targets(ctx, cfg.Root)
	if err != nil {
		return err
	}
	var total int64
	var ran int
	var failures []error
	for _, t := range all {
		if !strings.Contains(t.String(), cfg.Only) {
			continue
		}
		tried, err := t.fuzz(ctx, cfg.Time, out)
		fmt.Fprintf(out, "%12d inputs  %s\n", tried, t)
		ran, total = ran+1, total+tried
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", t, err))
		}
	}
	if ran == 0 {
		return errors.New("there is no such target")
	}
	fmt.Fprintf(out, "RESULT fuzz_targets %d\nRESULT fuzz_inputs %d\nRESULT fuzz_failed %d\n", ran, total, len(failures))
	return errors.Join(failures...)
}

// fuzz tries inputs for a while, and returns how many. If the target finds something,
// what go test says about it is written to out.
func (t target) fuzz(ctx context.Context, d time.Duration, out io.Writer) (tried int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+buildTime)
	defer cancel()
	var output bytes.Buffer
	err = goTest(ctx, t.module, &output, &output, "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+d.String(), t.pkg)
	tried = inputs(output.Bytes())
	switch {
	case err != nil:
		_, _ = out.Write(output.Bytes())
	case tried == 0:
		err = fmt.Errorf("it has tried nothing: %s", output.Bytes())
	}
	return tried, err
}

// progress is what go test -fuzz writes every three seconds and at the end: first of the
// seeds and the inputs that it has kept, then of all.
var progress = regexp.MustCompile(`(?m)^fuzz: elapsed: [^,]+, (?:execs: |gathering baseline coverage: )(\d+)[ /]`)

// inputs returns how many inputs were tried, by the output of go test -fuzz.
func inputs(output []byte) int64 {
	matches := progress.FindAllSubmatch(output, -1)
	if len(matches) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(matches[len(matches)-1][1]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
