package draw

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

const tenMillion = 10_000_000

// largeLog yields the records of a raffle with ten million entries of as many members,
// and its drawing.
func largeLog(b *testing.B, winners int64) iter.Seq2[[]byte, error] {
	b.Helper()
	var known beacon
	readJSON(b, "beacon.json", &known)
	rules := testRules(MemberWinsOnce, winners, 1, 10)
	rulesRecord := encode(b, rules)
	const round = 1000
	at := Quicknet().TimeOf(round) - Time(rules.DelaySeconds*1e6)
	closing := encode(b, Close{at, 1, round, tenMillion, tenMillion, rulesRecord[1:]})
	drawing := encode(b, Draw{1, round, known.Rounds[1].Signature})
	return func(yield func([]byte, error) bool) {
		var record []byte
		if !yield(rulesRecord, nil) {
			return
		}
		for i := range uint64(tenMillion) {
			tag := sha256.Sum256(binary.BigEndian.AppendUint64(nil, i))
			record = AppendEntry(record[:0], 1, tag)
			if !yield(record, nil) {
				return
			}
		}
		_ = yield(closing, nil) && yield(drawing, nil)
	}
}

// reportPeak reports the largest memory that the process has had.
func reportPeak(b *testing.B) {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return // not Linux
	}
	if peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status); peak != nil {
		kB, _ := strconv.ParseFloat(string(peak[1]), 64)
		b.ReportMetric(kB/1000, "peak-MB")
	}
}

// BenchmarkLog_TenMillion draws as a service does.
func BenchmarkLog_TenMillion(b *testing.B) {
	for b.Loop() {
		l := NewLog(testOrigin, Quicknet())
		for record := range largeLog(b, 1000) {
			if err := l.Append(record); err != nil {
				b.Fatal(err)
			}
		}
		if got := len(l.Drawings()[0].Tickets); got != 1010 {
			b.Fatal(got)
		}
	}
	reportPeak(b)
}

// BenchmarkVerify_TenMillion verifies a file of 430 MB, which is made on the way.
func BenchmarkVerify_TenMillion(b *testing.B) {
	var v vector
	readJSON(b, "vector.json", &v)
	origin := v.Origin
	var tree Tree
	for record := range largeLog(b, 1000) {
		tree.Append(LeafHash(record))
	}
	signed, err := Checkpoint{origin, tree.Size, tree.Root()}.Sign(vectorSigner(b, v))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r := Verify(Input{Records: framed(largeLog(b, 1000)), Checkpoint: signed, Key: v.VerifierKey, Chains: []*Chain{Quicknet()}})
		if r.Outcome != True {
			b.Fatal(r.Checks)
		}
	}
	reportPeak(b)
}

// framed reads the records back from the form they have in a file.
func framed(records iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
	next, stop := iter.Pull2(records)
	return func(yield func([]byte, error) bool) {
		defer stop()
		logfile.Records(&pulled{next: next})(yield)
	}
}

// pulled is a file whose content comes from records.
type pulled struct {
	next func() ([]byte, error, bool)
	page bytes.Buffer
}

// Read implements io.Reader.
func (p *pulled) Read(b []byte) (int, error) {
	for p.page.Len() < len(b) {
		record, _, ok := p.next()
		if !ok {
			break
		}
		p.page.Write(logfile.Append(nil, record))
	}
	return p.page.Read(b)
}
