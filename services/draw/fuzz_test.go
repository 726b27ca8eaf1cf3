package draw

import (
	"bytes"
	"testing"

	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

// What Decode takes, Encode writes; and what Encode writes, Decode takes as the same.
func FuzzDecode(f *testing.F) {
	_, records := readVector(f)
	for _, r := range records {
		f.Add(r)
	}
	f.Add(encode(f, Cancel{0}))
	f.Add(encode(f, Restored{5, Hash{1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		again := encode(t, r)
		second, err := Decode(again)
		if err != nil || !bytes.Equal(encode(t, second), again) {
			t.Errorf("%q: %+v, then %+v, %v", b, r, second, err)
		}
	})
}

func FuzzParseReceipt(f *testing.F) {
	v, records := readVector(f)
	f.Add([]byte(v.AliceFirstReceipt))
	f.Add([]byte(Receipt{Extra: records[1], Index: 1, Checkpoint: []byte("x")}.String()))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseReceipt(text)
		if err != nil {
			return
		}
		if r.String() != string(text) {
			t.Errorf("%q is taken for %q", text, r)
		}
		if _, err := r.Open(records[2], v.VerifierKey); err == nil {
			t.Errorf("%q proves the wrong record", text)
		}
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	v, _ := readVector(f)
	f.Add([]byte(v.ClosingCheckpoint))
	f.Add([]byte(v.FinalCheckpoint))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := OpenCheckpoint(text, v.VerifierKey)
		if err == nil && !bytes.HasPrefix([]byte(v.ClosingCheckpoint), []byte(c.String())) &&
			!bytes.HasPrefix([]byte(v.FinalCheckpoint), []byte(c.String())) {
			t.Errorf("the signature of another checkpoint is taken for %q", text)
		}
	})
}

func FuzzParseChain(f *testing.F) {
	f.Add([]byte(quicknet))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := ParseChain(text); err == nil {
			if again, err := ParseChain(marshal(c)); err != nil || again.Hash != c.Hash {
				t.Errorf("%q: %v, %v", text, again, err)
			}
		}
	})
}

// A log's file never crashes the verifier, and what is no log is never true.
func FuzzVerify(f *testing.F) {
	in, _, records := vectorInput(f)
	var file []byte
	for _, r := range records {
		file = logfile.Append(file, r)
	}
	f.Add(file)
	f.Add(file[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		in := in
		in.Records = logfile.Records(bytes.NewReader(b))
		if outcome := Verify(in).Outcome; (outcome == True) != bytes.Equal(b, file) {
			t.Errorf("%q: %v", b, outcome)
		}
	})
}
