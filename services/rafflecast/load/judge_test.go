package load

import (
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestRun_JudgesLatencyAndFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string // part of the error; "": there must be none
	}{
		"without limits": {nil, ""},
		"within limits":  {[]string{"--max-p99=5m", "--max-retried=10000"}, ""},
		"too many fail":  {[]string{"--max-retried=100"}, "of 300 requests failed, more than 100 of 1000"},
		"too late":       {[]string{"--max-p99=1ms"}, "more than 1ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--target=" + serveUnreliable(t, &unreliable{}), "--count=300", "--concurrency=40"}
			cfg := settings(t, append(args, c.args...)...)
			_, result := send(t, cfg)
			err := result.judge(&cfg)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestResult_JudgesAttemptsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	c := newCounters()
	for range 10 {
		c.answered(answer{}, time.Now())
	}
	c.failed(answerOfError(status.Error(codes.DeadlineExceeded, "no answer")))
	c.failed(answerOfError(status.Error(codes.Unavailable, "no address")))
	result := c.result(time.Now())
	for most, want := range map[int]string{0: "", 100: "", 99: "1 attempts of 10 requests had no answer within 10s, more than 99 of 1000"} {
		err := result.judge(&Config{Unanswered: most, Timeout: 10 * time.Second})
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("at most %d of 1000: got %v, want %q", most, err, want)
		}
	}
}

func TestResult_LatencyCountsFromWhenARequestWasDue(t *testing.T) {
	t.Parallel()
	c := newCounters()
	c.answered(answer{}, time.Now().Add(-time.Minute))
	result := c.result(time.Now())
	if err := result.judge(&Config{MaxP99: 30 * time.Second}); err == nil {
		t.Error("an answer after a minute is in time")
	}
	result.report(io.Discard, &Config{})
}
