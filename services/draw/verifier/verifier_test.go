package verifier

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/drand"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

const (
	testdata = "../testdata/"
	key      = "raffles.example.com+06087de8+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
	opening  = "ff3e749a0ff991b913819107ffdba76998fa3f875d2d233024b72cfe9c99fa33"
)

// verifier runs the program and returns its exit code and output.
func verifier(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	code = Run(t.Context(), args, &out, &errors)
	return code, out.String(), errors.String()
}

// write writes a file and returns its name.
func write(t *testing.T, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestVerifier_ExitsByTheOutcome(t *testing.T) {
	t.Parallel()
	log, checkpoint := read(t, testdata+"log"), testdata+"checkpoint"
	log[100] ^= 1
	tampered := write(t, log)
	for _, c := range []struct {
		what, want string
		code       int
		args       []string
	}{
		{"all", "true     saved 2: ", 0, []string{"--key", key, testdata + "log", checkpoint, testdata + "closing-checkpoint", testdata + "receipt"}},
		{"a member", `ticket   3: has won "Strings"`, 0, []string{"--key", key, "--member", "alice", "--opening", opening, testdata + "log", checkpoint}},
		{"a member by Base64", "ticket   1: has not won", 0, []string{
			"--key", key, "--member", "alice", "--opening", "/z50mg/5kbkTgZEH/9unaZj6P4ddLSMwJLcs/pyZ+jM=", testdata + "log", checkpoint,
		}},
		{"another member", "false    member: ", 1, []string{"--key", key, "--member", "bob", "--opening", opening, testdata + "log", checkpoint}},
		{"a tampered log", "false    log: ", 1, []string{"--key", key, tampered, checkpoint}},
		{"the closing checkpoint", "false    log: ", 1, []string{"--key", key, testdata + "log", testdata + "closing-checkpoint"}},
		{"no key", "unknown  checkpoint: ", 2, []string{testdata + "log", checkpoint}},
		{"a tampered log without key", "false    log: ", 1, []string{tampered, checkpoint}},
	} {
		code, stdout, stderr := verifier(t, c.args...)
		if code != c.code || stderr != "" || !strings.Contains(stdout, c.want) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s%s", c.what, code, c.code, c.want, stdout, stderr)
		}
	}
}

func TestVerifier_SaysWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"LOG and CHECKPOINT":              {testdata + "log"},
		"flag provided but not defined":   {"--nonexistent"},
		"no such file":                    {testdata + "nonexistent", testdata + "checkpoint"},
		"go together":                     {"--member", "alice", testdata + "log", testdata + "checkpoint"},
		"an opening has 32 bytes":         {"--member", "alice", "--opening", "ff", testdata + "log", testdata + "checkpoint"},
		"chain info":                      {"--chain-info", testdata + "log", testdata + "log", testdata + "checkpoint"},
		"does not end like /raffle/1":     {"https://raffles.example.com/"},
		"http://127.0.0.1:1/api/v1/raffl": {"http://127.0.0.1:1/raffle/1"},
		"Exit code":                       {"--help"},
	} {
		if code, stdout, stderr := verifier(t, args...); code != 2 || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%v: exit code %d, want 2 and %q\n%s%s", args, code, want, stdout, stderr)
		}
	}
}

func TestVerifier_WritesJSON(t *testing.T) {
	t.Parallel()
	_, stdout, _ := verifier(t, "--json", "--key", key, "--member", "alice", "--opening", opening, testdata+"log", testdata+"checkpoint")
	var out struct {
		Outcome  string
		Checks   []struct{ Outcome, Text string }
		Cautions []string
		Winners  [][]int64
		Tickets  []int64
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %d %s %d %v %v", out.Outcome, len(out.Checks), out.Checks[0].Outcome, len(out.Cautions), out.Winners, out.Tickets)
	if want := "true 7 true 3 [[11] [2 3]] [1 3 7]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// server serves a raffle as participation and the gateway do.
type server struct {
	records     [][]byte
	checkpoint  []byte
	verifierKey string
	chainInfo   any
	failLog     bool
	requests    int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests++
	switch r.URL.Path {
	case "/api/v1/raffles/1/draw":
		_ = json.NewEncoder(w).Encode(map[string]any{"verifierKey": s.verifierKey, "chainInfo": s.chainInfo, "round": 7})
	case "/api/v1/raffles/1/checkpoint":
		_, _ = w.Write(s.checkpoint)
	case "/api/v1/raffles/1/log":
		from, err := strconv.Atoi(r.URL.Query().Get("from"))
		if err != nil || from%logfile.PageSize != 0 || s.failLog {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var page []byte
		for _, record := range s.records[min(from, len(s.records)):min(from+logfile.PageSize, len(s.records))] {
			page = logfile.Append(page, record)
		}
		_, _ = w.Write(page)
	default:
		http.NotFound(w, r)
	}
}

// newServer returns a raffle of three pages that was drawn from a development chain.
func newServer(t *testing.T) *server {
	t.Helper()
	chain, err := drand.NewDevelopment(bytes.Repeat([]byte{7}, 32), time.Unix(1e9, 0), time.Second, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, "raffles.test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{verifierKey: vkey, chainInfo: chain.Chain()}
	log := draw.NewLog("raffles.test/raffle/1", chain.Chain())
	add := func(r draw.Record) {
		record, err := draw.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Append(record); err != nil {
			t.Fatal(err)
		}
		s.records = append(s.records, record)
	}
	add(draw.Rules{
		Format: draw.Format, Raffle: 1, Prizes: []draw.Prize{{Name: "Guitar", Count: 1}}, Rule: draw.EntryWins,
		MaxEntriesPerMember: 1, Chain: chain.Chain().Hash, DelaySeconds: 60,
	})
	const entries = 2*logfile.PageSize + 100
	for i := range entries {
		add(draw.Entry{Ordinal: 1, Tag: draw.Tag{byte(i), byte(i >> 8)}})
	}
	at := chain.Chain().TimeOf(1000)
	add(draw.Close{ClosedAt: at, Drawing: 1, Round: 1060, Entries: entries, Members: entries, Rules: s.records[0][1:]})
	add(draw.Draw{Drawing: 1, Round: 1060, Signature: chain.Signature(1060)})
	s.checkpoint, err = log.Head().Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func TestVerifier_FetchesAURL(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	url := serve(t, s)
	for _, path := range []string{"/raffle/1", "/raffle/1/", "/api/v1/raffles/1"} {
		s.requests = 0
		code, stdout, stderr := verifier(t, url+path)
		if code != 0 || s.requests != 5 {
			t.Errorf("exit code %d after %d requests\n%s%s", code, s.requests, stdout, stderr)
		}
		for _, want := range []string{"caution  the key comes from the server", "its owner can choose the winners", "result   true"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("it does not say %q:\n%s", want, stdout)
			}
		}
	}
	if code, stdout, _ := verifier(t, "--key", key, url+"/raffle/1"); code != 1 {
		t.Errorf("another key: exit code %d\n%s", code, stdout)
	}
}

// While the log is fetched, a record is added: the checkpoint holds for those before.
func TestVerifier_LeavesWhatCameAfterTheCheckpoint(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	strike, err := draw.Encode(draw.Strike{Ticket: 1, Reason: "OTHER"})
	if err != nil {
		t.Fatal(err)
	}
	s.records = append(s.records, strike)
	if code, stdout, stderr := verifier(t, serve(t, s)+"/raffle/1"); code != 0 {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestVerifier_RefusesALyingServer(t *testing.T) {
	t.Parallel()
	for what, lie := range map[string]func(*server){
		"a log that ends early": func(s *server) { s.records = s.records[:logfile.PageSize+7] },
		"a log that is empty":   func(s *server) { s.records = nil },
		"another record":        func(s *server) { s.records[5] = s.records[6] },
		"another key":           func(s *server) { s.verifierKey = key },
		"a checkpoint for more": func(s *server) {
			s.checkpoint = bytes.Replace(s.checkpoint, []byte("\n8295\n"), []byte("\n1073741824\n"), 1)
		},
		"no checkpoint":          func(s *server) { s.checkpoint = []byte("x") },
		"entries in other order": func(s *server) { s.records[1], s.records[2] = s.records[2], s.records[1] },
	} {
		s := newServer(t)
		lie(s)
		if code, stdout, stderr := verifier(t, serve(t, s)+"/raffle/1"); code != 1 {
			t.Errorf("%s: exit code %d\n%s%s", what, code, stdout, stderr)
		}
	}
	for what, lie := range map[string]func(*server){
		"another chain":  func(s *server) { s.chainInfo = draw.Quicknet() },
		"no chain":       func(s *server) { s.chainInfo = nil },
		"no key":         func(s *server) { s.verifierKey = "" },
		"no log":         func(s *server) { s.failLog = true },
		"a long answer":  func(s *server) { s.checkpoint = make([]byte, 1<<16+1) },
		"a broken chain": func(s *server) { s.chainInfo = "x" },
	} {
		s := newServer(t)
		lie(s)
		if code, stdout, stderr := verifier(t, serve(t, s)+"/raffle/1"); code != 2 {
			t.Errorf("%s: exit code %d\n%s%s", what, code, stdout, stderr)
		}
	}
}
