package access_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// What is remembered of a token holds for the keys that it was verified with.
func TestTokens_FollowTheFileOfKeys(t *testing.T) {
	t.Parallel()
	before, after := tokentest.NewKey(t, "1"), tokentest.NewKey(t, "2")
	file := tokentest.File(t, before)
	tokens := start(t, settings(file))
	old, renewed := before.Token("7", "member"), after.Token("7", "member")
	if _, err := tokens.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	write := func(text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("half a f"))
	write(tokentest.JWKS(t, after))
	testenv.Eventually(t, "the new key counts", 10*time.Second, func() bool {
		_, err := tokens.Verify(t.Context(), renewed)
		return err == nil
	})
	if _, err := tokens.Verify(t.Context(), old); err == nil {
		t.Error("the key that was removed still counts")
	}
}

// keyServer serves a JWK set that a test changes.
type keyServer struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc] // nil: it fails
	asked  atomic.Int64
}

func newKeyServer(t *testing.T) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if answer := s.answer.Load(); answer != nil {
			(*answer)(w, r)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) serve(text []byte) { s.serveBy(answering(http.StatusOK, text)) }

func (s *keyServer) serveBy(answer http.HandlerFunc) { s.answer.Store(&answer) }

func answering(status int, text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write(text)
	}
}

func TestTokens_NeedKeysBeforeTheyVerify(t *testing.T) {
	t.Parallel()
	key, server := tokentest.NewKey(t, "1"), newKeyServer(t)
	tokens := start(t, settings(server.URL))
	token := key.Token("7", "member")
	if _, err := tokens.Verify(t.Context(), token); !errors.Is(err, access.ErrKeysUnavailable) {
		t.Errorf("without keys: %v", err)
	}
	server.serve(tokentest.JWKS(t, key))
	testenv.Eventually(t, "the keys are read", 10*time.Second, func() bool {
		_, err := tokens.Verify(t.Context(), token)
		return err == nil
	})
}

func TestTokens_ReadTheKeysAgainForAnUnknownOne(t *testing.T) {
	t.Parallel()
	before, after, server := tokentest.NewKey(t, "1"), tokentest.NewKey(t, "2"), newKeyServer(t)
	server.serve(tokentest.JWKS(t, before))
	tokens := start(t, settings(server.URL)) // reads every 5 min by itself
	testenv.Eventually(t, "the keys are read", 10*time.Second, func() bool {
		_, err := tokens.Verify(t.Context(), before.Token("7", "member"))
		return err == nil
	})
	server.serve(tokentest.JWKS(t, before, after))
	testenv.Eventually(t, "the new key counts", 10*time.Second, func() bool {
		_, err := tokens.Verify(t.Context(), after.Token("7", "member"))
		return err == nil
	})

	// The keys that are known are used while the URL fails, and a flood of tokens with
	// unknown keys asks it a few times only.
	server.answer.Store(nil)
	asked := server.asked.Load()
	stranger := tokentest.NewKey(t, "3")
	for range 200 {
		if _, err := tokens.Verify(t.Context(), stranger.Token("7", "member")); err == nil {
			t.Fatal("a stranger's token is accepted")
		}
	}
	if got := server.asked.Load() - asked; got > 3 {
		t.Errorf("200 tokens with an unknown key made %d requests", got)
	}
	if _, err := tokens.Verify(t.Context(), after.Token("8", "member")); err != nil {
		t.Errorf("while the URL fails: %v", err)
	}
}

// The keys that were read stay in use, whatever the URL answers instead.
func TestTokens_KeepTheKeysWhileTheURLFails(t *testing.T) {
	t.Parallel()
	stranger := tokentest.NewKey(t, "1")
	other := tokentest.JWKS(t, stranger)
	for name, answer := range map[string]http.HandlerFunc{
		"an error":            answering(http.StatusBadGateway, nil),
		"an error with a set": answering(http.StatusForbidden, other),
		"no JSON":             answering(http.StatusOK, []byte("<html>")),
		"no set":              answering(http.StatusOK, []byte(`{}`)),
		"no keys":             answering(http.StatusOK, []byte(`{"keys":[]}`)),
		"a secret only":       answering(http.StatusOK, []byte(`{"keys":[{"kty":"oct","kid":"1","k":"c2VjcmV0"}]}`)),
		"more than is read":   answering(http.StatusOK, append(bytes.Repeat([]byte(" "), 1<<20), other...)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, server := tokentest.NewKey(t, "1"), newKeyServer(t)
			server.serve(tokentest.JWKS(t, key))
			s := settings(server.URL)
			s.Refresh = 100 * time.Millisecond
			tokens := start(t, s)
			testenv.Eventually(t, "the keys are read", 10*time.Second, func() bool {
				_, err := tokens.Verify(t.Context(), key.Token("7", "member"))
				return err == nil
			})
			server.serveBy(answer)
			asked := server.asked.Load()
			testenv.Eventually(t, "the URL was read again", 10*time.Second, func() bool { return server.asked.Load() >= asked+3 })
			if _, err := tokens.Verify(t.Context(), key.Token("8", "member")); err != nil {
				t.Error(err)
			}
			if _, err := tokens.Verify(t.Context(), stranger.Token("8", "member")); err == nil {
				t.Error("the key of a stranger counts")
			}
		})
	}
}

// The URL of the keys may have a password, which the server gets and the log does not.
func TestTokens_LogNoPasswordOfTheURL(t *testing.T) {
	t.Parallel()
	server, asked := newKeyServer(t), make(chan string, 100)
	server.serveBy(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		asked <- password
		_, _ = w.Write([]byte("{}"))
	})
	s, lines := settings(strings.Replace(server.URL, "://", "://user:secret@", 1)), make(lineWriter, 100)
	tokens, err := access.NewTokens(s, slog.New(slog.NewTextHandler(lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { tokens.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	if password := <-asked; password != "secret" {
		t.Errorf("the server got the password %q", password)
	}
	if line := <-lines; !strings.Contains(line, "can't be read") || strings.Contains(line, "secret") {
		t.Errorf("logged: %s", line)
	}
}

// lineWriter takes lines of a log.
type lineWriter chan string

func (w lineWriter) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}

// A URL that accepts requests and does not answer must not end the reading of keys.
func TestTokens_GiveUpAURLThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	key, server := tokentest.NewKey(t, "1"), newKeyServer(t)
	isOver := make(chan struct{})
	t.Cleanup(func() { close(isOver) }) // before the server is closed, which waits for its handlers
	server.serveBy(func(http.ResponseWriter, *http.Request) {
		server.serve(tokentest.JWKS(t, key)) // to who asks again
		<-isOver
	})
	tokens := start(t, settings(server.URL))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	testenv.Eventually(t, "the keys are read", 30*time.Second, func() bool {
		_, err := tokens.Verify(ctx, key.Token("7", "member"))
		return err == nil
	})
}

// Keys need no ids, and their ids need not differ.
func TestTokens_AcceptEachKeyOfAnID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "1"} {
		one, other := tokentest.NewKey(t, id), tokentest.NewKey(t, id)
		tokens := start(t, settings(tokentest.File(t, one, other)))
		for _, key := range []*tokentest.Key{one, other} {
			if _, err := tokens.Verify(t.Context(), key.Token("7", "member")); err != nil {
				t.Errorf("with the id %q: %v", id, err)
			}
		}
		if _, err := tokens.Verify(t.Context(), tokentest.NewKey(t, id).Token("7", "member")); err == nil {
			t.Errorf("with the id %q: a stranger is accepted", id)
		}
	}
}
