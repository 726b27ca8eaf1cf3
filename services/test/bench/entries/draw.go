//go:build unix

package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/drand"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/draw/verifier"
)

// drawUse is what a draw and its verification took, and the most memory that the process
// of each had.
type drawUse struct {
	draw, verify     time.Duration
	drawMB, verifyMB float64
}

// logName is the name of the benchmark's logs.
const logName = "bench.test"

func makeSigningKey(file string) error {
	key, _, err := note.GenerateKey(rand.Reader, logName)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(key), 0o600)
}

// measureDraw draws a raffle with as many tickets, each of another member, as
// participation does, and verifies the draw as a stranger does.
func (b *bench) measureDraw(ctx context.Context) (*drawUse, error) {
	fmt.Fprintf(b.log, "drawing and verifying a raffle with %d tickets\n", b.cfg.Tickets)
	dir, err := makeDir(b.cfg.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := writeDrawn(dir, int64(b.cfg.Tickets)); err != nil {
		return nil, err
	}
	var use drawUse
	if use.draw, use.drawMB, err = b.measurePart(ctx, partDraw, dir); err != nil {
		return nil, err
	}
	use.verify, use.verifyMB, err = b.measurePart(ctx, partVerify, dir)
	return &use, err
}

// measurePart runs a part to its end.
func (b *bench) measurePart(ctx context.Context, part, dir string) (took time.Duration, mb float64, err error) {
	command, err := b.cfg.program()
	if err != nil {
		return 0, 0, err
	}
	command = append(command[:len(command):len(command)], "--part="+part, "--store-dir="+dir, "--log-level=warn")
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // this program, or what the caller chose
	cmd.Stderr = b.log
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", part, err)
	}
	rusage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, 0, errors.New("the system does not tell what a process used")
	}
	return time.Since(start), float64(rusage.Maxrss) / 1000, nil
}

// The files of a drawn raffle.
const (
	logFile        = "log"
	checkpointFile = "checkpoint"
	chainFile      = "chain.json"
)

// writeDrawn writes the log of a drawn raffle, its checkpoint and its chain.
func writeDrawn(dir string, tickets int64) error {
	file, err := os.Create(filepath.Join(dir, logFile)) //nolint:gosec // we have made it
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(file, 1<<20)
	signing, _, err := note.GenerateKey(rand.Reader, logName)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(signing)
	if err != nil {
		return err
	}
	closed := time.Now().Add(-time.Hour)
	chain, err := drand.NewDevelopment(make([]byte, 32), closed.Add(-time.Hour).Truncate(time.Second), 3*time.Second, time.Now)
	if err != nil {
		return err
	}
	head, err := writeRecords(out, chain, tickets, draw.TimeOf(closed))
	if err := errors.Join(err, out.Flush(), file.Close()); err != nil {
		return err
	}
	checkpoint, err := head.Sign(signer)
	if err != nil {
		return err
	}
	info, err := json.Marshal(chain.Chain())
	return errors.Join(err, os.WriteFile(filepath.Join(dir, checkpointFile), checkpoint, 0o600),
		os.WriteFile(filepath.Join(dir, chainFile), info, 0o600))
}

// writeRecords writes the records of a drawn raffle, and returns their checkpoint.
func writeRecords(out io.Writer, chain *drand.Development, tickets int64, closed draw.Time) (draw.Checkpoint, error) {
	head := draw.Checkpoint{Origin: draw.Origin(logName, 1, 1)}
	var tree draw.Tree
	var framed []byte
	write := func(record []byte) error {
		tree.Append(draw.LeafHash(record))
		framed = logfile.Append(framed[:0], record)
		_, err := out.Write(framed)
		return err
	}
	encode := func(r draw.Record) ([]byte, error) {
		record, err := draw.Encode(r)
		if err != nil {
			return nil, err
		}
		return record, write(record)
	}
	rules, err := encode(draw.Rules{
		Format: draw.Format, Raffle: 1, Title: "Bench", Prizes: []draw.Prize{{Name: "Prize", Count: 1000}}, Rule: draw.MemberWinsOnce,
		MaxEntriesPerMember: 1, Alternates: 10, Chain: chain.Chain().Hash, DelaySeconds: 60,
	})
	if err != nil {
		return head, err
	}
	var entry []byte
	for i := range tickets {
		entry = draw.AppendEntry(entry[:0], 1, sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i))))
		if err := write(entry); err != nil {
			return head, err
		}
	}
	round := chain.Chain().RoundAt(closed + draw.Time(time.Minute.Microseconds()))
	if _, err := encode(draw.Close{ClosedAt: closed, Drawing: 1, Round: round, Entries: tickets, Members: tickets, Rules: rules[1:]}); err != nil {
		return head, err
	}
	_, err = encode(draw.Draw{Drawing: 1, Round: round, Signature: chain.Signature(round)})
	head.Size, head.Root = tree.Size, tree.Root()
	return head, err
}

// drawAgain draws the raffle in dir, as participation does.
func drawAgain(dir string) error {
	info, err := os.ReadFile(filepath.Join(dir, chainFile)) //nolint:gosec // we have made it
	if err != nil {
		return err
	}
	chain, err := draw.ParseChain(info)
	if err != nil {
		return err
	}
	file, err := os.Open(filepath.Join(dir, logFile)) //nolint:gosec // we have made it
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	log := draw.NewLog(draw.Origin(logName, 1, 1), chain)
	for record, err := range logfile.Records(file) {
		if err != nil {
			return err
		}
		if err := log.Append(record); err != nil {
			return err
		}
	}
	if drawings := log.Drawings(); len(drawings) != 1 || len(drawings[0].Tickets) != 1010 {
		return fmt.Errorf("%d drawings", len(drawings))
	}
	return nil
}

// verifyDrawn verifies the raffle in dir, as a stranger does who does not know the key.
func verifyDrawn(ctx context.Context, dir string) error {
	const unknown = 2 // who has signed; all else must be true
	if code := verifier.Run(ctx, []string{
		"--chain-info", filepath.Join(dir, chainFile), filepath.Join(dir, logFile), filepath.Join(dir, checkpointFile),
	}, io.Discard, os.Stderr); code != unknown {
		return fmt.Errorf("the verifier exits with %d", code)
	}
	return nil
}
