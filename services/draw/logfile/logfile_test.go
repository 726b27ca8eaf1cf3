package logfile_test

import (
	"bytes"
	"testing"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

func TestRecords_AreThoseThatWereAppended(t *testing.T) {
	t.Parallel()
	records := [][]byte{[]byte("a"), bytes.Repeat([]byte("b"), draw.MaxRecord), []byte("c")}
	var file []byte
	for _, r := range records {
		file = logfile.Append(file, r)
	}
	n := 0
	for record, err := range logfile.Records(bytes.NewReader(file)) {
		if err != nil || !bytes.Equal(record, records[n]) {
			t.Fatalf("record %d has %d bytes, %v", n, len(record), err)
		}
		n++
	}
	if n != len(records) {
		t.Errorf("%d records", n)
	}
}

func TestRecords_FailAtWhatIsNoRecord(t *testing.T) {
	t.Parallel()
	good := logfile.Append(nil, []byte("a"))
	for name, end := range map[string][]byte{
		"empty": {0, 0, 0, 0}, "too long": logfile.Append(nil, make([]byte, draw.MaxRecord+1)), "cut length": {0, 0}, "cut off": {0, 0, 0, 2, 'b'},
	} {
		var failed bool
		n := 0
		for _, err := range logfile.Records(bytes.NewReader(append(bytes.Clone(good), end...))) {
			failed = err != nil
			n++
		}
		if !failed || n != 2 {
			t.Errorf("%s: failed: %t, after %d", name, failed, n)
		}
	}
}
