package drand

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/draw"
)

var genesis = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newChain returns a development chain whose clock stands in a round's first moment.
func newChain(t *testing.T, round uint64) *Development {
	t.Helper()
	var d *Development
	now := func() time.Time { return d.Chain().TimeOf(round).Time() }
	d, err := NewDevelopment(bytes.Repeat([]byte{7}, 32), genesis, 3*time.Second, now)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func TestDevelopment_IsTheSameForEqualArguments(t *testing.T) {
	t.Parallel()
	a, b := newChain(t, 1), newChain(t, 2)
	if a.Chain().Hash != b.Chain().Hash || !bytes.Equal(a.Signature(5), b.Signature(5)) {
		t.Error("the chains differ")
	}
	if err := a.Chain().Verify(5, b.Signature(5)); err != nil {
		t.Error(err)
	}
	if _, err := NewDevelopment(make([]byte, 31), genesis, time.Second, time.Now); err == nil {
		t.Error("a secret of 31 bytes is taken")
	}
	if _, err := NewDevelopment(make([]byte, 32), genesis, time.Second-1, time.Now); err == nil {
		t.Error("a period below a second is taken")
	}
}

func TestDevelopment_ServesItsDescription(t *testing.T) {
	t.Parallel()
	d := newChain(t, 1)
	answer := httptest.NewRecorder()
	d.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+d.Chain().Hash+"/info", nil))
	chain, err := draw.ParseChain(answer.Body.Bytes())
	if err != nil || chain.Hash != d.Chain().Hash || chain.Metadata.ID != DevelopmentID {
		t.Errorf("%s: %v", answer.Body, err)
	}
}

func TestDevelopment_ServesRoundsThatAreOut(t *testing.T) {
	t.Parallel()
	d := newChain(t, 10)
	for path, status := range map[string]int{
		"/public/1": 200, "/public/9": 200, "/public/10": 200, "/public/11": 425, "/public/9007199254740991": 425,
		"/public/0": 404, "/public/-1": 404, "/public/x": 404, "/public/99999999999999999999": 404, "/public/": 404, "/other": 404,
	} {
		answer := httptest.NewRecorder()
		d.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+d.Chain().Hash+path, nil))
		if answer.Code != status {
			t.Errorf("%s: %d, want %d", path, answer.Code, status)
		}
	}
}

func TestClient_FetchesARound(t *testing.T) {
	t.Parallel()
	d := newChain(t, 10)
	broken := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	client := &Client{Chain: d.Chain(), Relays: []string{broken, "http://127.0.0.1:1", serve(t, d.Handler())}, HTTP: http.DefaultClient}
	signature, err := client.Signature(t.Context(), 10)
	if err != nil || !bytes.Equal(signature, d.Signature(10)) {
		t.Errorf("%x, %v", signature, err)
	}
	_, err = client.Signature(t.Context(), 11)
	if !errors.Is(err, ErrNotOut) || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrWrong) {
		t.Errorf("a round that is not out: %v", err)
	}
}

func TestClient_TellsWrongAnswers(t *testing.T) {
	t.Parallel()
	d := newChain(t, 10)
	other, err := NewDevelopment(bytes.Repeat([]byte{8}, 32), genesis, 3*time.Second, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	round := func(round uint64, signature []byte) string {
		body, err := json.Marshal(Round{round, draw.Randomness(signature), signature})
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	good := round(5, d.Signature(5))
	for what, c := range map[string]struct {
		body string
		want error
	}{
		"another round":                   {round(6, d.Signature(6)), ErrWrong},
		"another round under this number": {round(5, d.Signature(6)), ErrWrong},
		"another chain":                   {round(5, other.Signature(5)), ErrWrong},
		"the signature twice":             {round(5, append(d.Signature(5), d.Signature(5)...)), ErrWrong},
		"no signature":                    {`{"round":5}`, ErrWrong},
		"no JSON":                         {`<html>`, ErrWrong},
		"something behind":                {good + "{}", ErrWrong},
		"as long as may be":               {good + strings.Repeat(" ", maxAnswer-len(good)), nil},
		"too long":                        {good + strings.Repeat(" ", maxAnswer-len(good)+1), ErrWrong},
		"with other fields":               {strings.Replace(good, "{", `{"previous_signature":"",`, 1), nil},
	} {
		relay := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.body) }))
		client := &Client{Chain: d.Chain(), Relays: []string{relay}, HTTP: http.DefaultClient}
		signature, err := client.Signature(t.Context(), 5)
		if !errors.Is(err, c.want) || (err == nil) != bytes.Equal(signature, d.Signature(5)) {
			t.Errorf("%s: %x, %v", what, signature, err)
		}
	}
}

// transport answers without a network, so that time can be faked.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClient_LeavesARelayThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newChain(t, 10)
		client := &Client{Chain: d.Chain(), Relays: []string{"http://hangs", "http://answers"}, HTTP: &http.Client{
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "hangs" {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				answer := httptest.NewRecorder()
				d.Handler().ServeHTTP(answer, r)
				return answer.Result(), nil
			}),
		}}
		start := time.Now()
		if _, err := client.Signature(t.Context(), 10); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != timeout {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.Signature(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the caller's deadline: %v", err)
		}
	})
}
