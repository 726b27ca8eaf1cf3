package load

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
)

// p99 returns the latency that 99 % of the final answers did not exceed.
func (r *Result) p99() time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(99)) * time.Microsecond
}

// retried returns how many attempts failed and were made again.
func (r *Result) retried() (attempts int64) {
	for _, n := range r.Retried {
		attempts += n
	}
	return attempts
}

// judge returns an error if the callers were answered later, refused more often, or not
// answered more often, than the settings allow.
func (r *Result) judge(cfg *Config) error {
	var late, often, silent error
	if p99 := r.p99(); cfg.MaxP99 > 0 && p99 > cfg.MaxP99 {
		late = fmt.Errorf("99 %% of the requests were answered within %v, more than %v",
			p99.Round(time.Millisecond), cfg.MaxP99)
	}
	requests := r.Latency.TotalCount() + r.Unknown
	if retried := r.retried(); cfg.MaxRetried > 0 && retried*1000 > requests*int64(cfg.MaxRetried) {
		often = fmt.Errorf("%d attempts of %d requests failed, more than %d of 1000", retried, requests, cfg.MaxRetried)
	}
	unanswered := r.Retried[code.Code_DEADLINE_EXCEEDED.String()]
	if cfg.Unanswered > 0 && unanswered*1000 > requests*int64(cfg.Unanswered) {
		silent = fmt.Errorf("%d attempts of %d requests had no answer within %v, more than %d of 1000",
			unanswered, requests, cfg.Timeout, cfg.Unanswered)
	}
	return errors.Join(late, often, silent)
}
