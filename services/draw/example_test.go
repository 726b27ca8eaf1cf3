package draw_test

import (
	"fmt"
	"os"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

// A raffle's log is verified against its checkpoint, and against what a viewer kept.
func Example() {
	log, err := os.Open("testdata/log")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	checkpoint, _ := os.ReadFile("testdata/checkpoint")
	kept, _ := os.ReadFile("testdata/closing-checkpoint")
	report := draw.Verify(draw.Input{
		Records:    logfile.Records(log),
		Checkpoint: checkpoint,
		Key:        "raffles.example.com+06087de8+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs",
		Chains:     []*draw.Chain{draw.Quicknet()},
		Saved:      [][]byte{kept},
	})
	fmt.Println(report.Outcome)
	for i, tickets := range report.Winners {
		fmt.Println(report.Log.Rules().Prizes[i].Name, tickets)
	}
	// Output:
	// true
	// Guitar [11]
	// Strings [2 3]
}

// A service draws with the same code: it replays the log, and appends the DRAW record.
func ExampleLog() {
	log := draw.NewLog("raffles.example.com/raffle/1", draw.Quicknet())
	file, err := os.Open("testdata/log")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	for record, err := range logfile.Records(file) {
		if err != nil || log.Head().Size == 13 {
			break // the log up to its close
		}
		if err := log.Append(record); err != nil {
			fmt.Println(err)
			return
		}
	}
	drawing, round, head, _ := log.Next()
	fmt.Println("drawing", drawing, "from round", round, "over", head.Size, "records")

	var signature draw.HexBytes // from package drand
	_ = signature.UnmarshalText([]byte("b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b1957" +
		"6350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"))
	record, err := draw.Encode(draw.Draw{Drawing: drawing, Round: round, Signature: signature})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := log.Append(record); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(log.Drawings()[0].Tickets)
	// Output:
	// drawing 1 from round 1000 over 13 records
	// [6 2 3 4]
}
