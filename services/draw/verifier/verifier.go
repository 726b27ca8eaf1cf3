// Package verifier checks a raffle's drawings: that the log of entries is the one that was
// published before the randomness was known, that each record may stand where it does, and
// that the randomness gives these winners. It is the command rafflecast-verify.
package verifier

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

const usage = `Usage:
  rafflecast-verify [--key VKEY] [--chain-info FILE] [--json] LOG CHECKPOINT [SAVED …]
  rafflecast-verify --member ID --opening HEX [other flags] LOG CHECKPOINT [RECEIPT …]
  rafflecast-verify [flags] URL [SAVED …]

LOG is the file of a raffle's log, CHECKPOINT the signed checkpoint of it. SAVED are
checkpoints and receipts that were kept earlier. URL is that of a raffle's page, such as
https://raffles.example.com/raffle/1: log and checkpoint are fetched from there.
Exit code: 0 all is true, 1 something is false, 2 can't tell.

`

var exitCodes = map[draw.Outcome]int{draw.True: 0, draw.False: 1, draw.Unknown: 2}

// settings are what the flags say.
type settings struct {
	key, chainInfo, member, opening string
	json                            bool
	args                            []string
}

// Run verifies what the arguments name, and returns the exit code: 0 if all checks are
// true, 1 if one is false, and 2 if it can't tell.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("rafflecast-verify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.key, "key", "", "verifier key of the log's signer: name+hash+key; several one on a line each")
	flags.StringVar(&s.chainInfo, "chain-info", "", "file that describes a drand chain, as at its /info; quicknet is known")
	flags.StringVar(&s.member, "member", "", "member id whose tickets to find")
	flags.StringVar(&s.opening, "opening", "", "what the member was given when entering, in hexadecimal or Base64")
	flags.BoolVar(&s.json, "json", false, "write JSON")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return exitCodes[draw.Unknown]
	}
	s.args = flags.Args()
	report, err := verify(ctx, s)
	if err != nil {
		fmt.Fprintf(stderr, "rafflecast-verify: %v\n", err)
		return exitCodes[draw.Unknown]
	}
	if s.json {
		_ = json.NewEncoder(stdout).Encode(report) // a failed write has no remedy
	} else {
		printText(stdout, report)
	}
	return exitCodes[report.Outcome]
}

func verify(ctx context.Context, s settings) (*draw.Report, error) {
	in := draw.Input{Key: s.key, Chains: []*draw.Chain{draw.Quicknet()}, Member: s.member}
	if s.member != "" || s.opening != "" {
		opening, err := hex.DecodeString(s.opening)
		if err != nil { // Base64, as in JSON
			opening, err = base64.StdEncoding.DecodeString(s.opening)
		}
		if err != nil || len(opening) != len(in.Opening) || s.member == "" {
			return nil, errors.New("--member and --opening go together; an opening has 32 bytes, in hexadecimal or Base64")
		}
		in.Opening = draw.Opening(opening)
	}
	if s.chainInfo != "" {
		info, err := os.ReadFile(s.chainInfo)
		if err != nil {
			return nil, err
		}
		chain, err := draw.ParseChain(info)
		if err != nil {
			return nil, err
		}
		in.Chains = append(in.Chains, chain)
	}
	var cautions []string
	if len(s.args) > 0 && isURL(s.args[0]) {
		dir, err := os.MkdirTemp("", "rafflecast-verify")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }() // what stays is a temporary file
		if cautions, err = fetch(ctx, s.args[0], dir, &in); err != nil {
			return nil, err
		}
		s.args = slices.Concat([]string{dir + "/log", dir + "/checkpoint"}, s.args[1:])
	}
	if len(s.args) < 2 {
		return nil, errors.New("LOG and CHECKPOINT, or a URL, must be given; see --help")
	}
	log, err := os.Open(s.args[0])
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // it was only read
	in.Records = logfile.Records(log)
	for i, name := range s.args[1:] {
		text, err := os.ReadFile(name) //nolint:gosec // the user names the file
		if err != nil {
			return nil, err
		}
		if i == 0 {
			in.Checkpoint = text
		} else {
			in.Saved = append(in.Saved, text)
		}
	}
	report := draw.Verify(in)
	report.Cautions = append(report.Cautions, cautions...)
	return report, nil
}
