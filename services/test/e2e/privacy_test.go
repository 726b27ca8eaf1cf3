package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// Marked values, which must be in no output but in answers to who has sent them.
const (
	markedMember   = "marked-member-5b1f"
	markedOperator = "marked-operator-77ac"
	markedPassword = "marked-password-c3d0"
)

// outputs are what a system writes, by name.
type outputs struct {
	mu    sync.Mutex
	texts map[string]*strings.Builder
}

func (o *outputs) add(name string, text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.texts[name] == nil {
		o.texts[name] = &strings.Builder{}
	}
	o.texts[name].Write(text)
}

// find returns which outputs hold which of the secrets.
func (o *outputs) find(secrets map[string]string) (found []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, text := range o.texts {
		for what, secret := range secrets {
			if strings.Contains(text.String(), secret) {
				found = append(found, name+" holds "+what)
			}
		}
	}
	slices.Sort(found)
	return found
}

// marked returns a message with fields that make sense where that is possible: ids of
// raffle 1, and the marked member.
func marked(descriptor protoreflect.MessageDescriptor) *dynamicpb.Message {
	m := dynamicpb.NewMessage(descriptor)
	for i := range descriptor.Fields().Len() {
		field := descriptor.Fields().Get(i)
		switch name := field.Name(); {
		case name == "raffle_id", name == "id" && field.Kind() == protoreflect.Int64Kind, name == "correlation_id":
			m.Set(field, protoreflect.ValueOfInt64(1))
		case name == "member_id":
			m.Set(field, protoreflect.ValueOfString(markedMember))
		case name == "title":
			m.Set(field, protoreflect.ValueOfString("A"))
		case name == "winners":
			m.Set(field, protoreflect.ValueOfInt32(1))
		case name == "enter", name == "raffle":
			m.Set(field, protoreflect.ValueOfMessage(marked(field.Message())))
		}
	}
	return m
}

// callEverything makes every call of the contract with a token, and notes the texts of
// errors.
func callEverything(t *testing.T, conn *grpc.ClientConn, who, token string, out *outputs) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	for _, file := range []protoreflect.FileDescriptor{
		rafflev1.File_raffle_v1_participation_service_proto, rafflev1.File_raffle_v1_audit_service_proto, rafflev1.File_raffle_v1_raffle_service_proto,
	} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				name := fmt.Sprintf("/%s/%s", service.FullName(), method.Name())
				stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name)
				if err != nil {
					t.Fatal(err)
				}
				_ = stream.SendMsg(marked(method.Input())) // the answer says what is wrong
				_ = stream.CloseSend()
				if err = stream.RecvMsg(dynamicpb.NewMessage(method.Output())); err == nil {
					continue // an answer to its own caller may hold a member id
				}
				out.add("the error of "+name+" as "+who, []byte(err.Error()))
			}
		}
	}
}

func TestPrivacy_NothingMarkedLeavesTheSystem(t *testing.T) {
	t.Parallel()
	key, traces, out := tokentest.NewKey(t, "1"), newReceiver(t), &outputs{texts: map[string]*strings.Builder{}}
	tokens := map[string]string{
		"member": key.Token(markedMember, "member"), "other member": key.Token("other", "member"),
		"operator": key.Token(markedOperator, "operator"), "backend": key.Token("backend", "backend"), "nobody": "",
		"expired": key.Token(markedMember, "member", map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), "invalid": "marked-token-91be.e30.x",
	}
	secrets := map[string]string{"the member id": markedMember, "the password": markedPassword, "the operator": markedOperator}
	for who, token := range tokens {
		if token != "" {
			secrets["the token of "+who] = token[len(token)-20:]
		}
	}

	nc := natstest.Start(t)
	recorder, err := nats.Connect(nc.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(recorder.Close)
	if _, err := recorder.Subscribe(">", func(m *nats.Msg) {
		out.add("NATS", fmt.Appendf(nil, "%s %v %s\n", m.Subject, m.Header, m.Data))
	}); err != nil {
		t.Fatal(err)
	}

	database := withPassword(t, pgtest.URL(t))
	if err := launch(t, "participation", "migrate", "--database-url="+database).awaitEnd(); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	common := []string{
		"AUTH_JWKS=" + tokentest.File(t, key), "AUTH_ISSUER=" + tokentest.Issuer, "AUTH_LEEWAY=0s", "LOG_LEVEL=debug", "LOG_FORMAT=json",
		"OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_EXPORTER_OTLP_ENDPOINT=" + traces.httpURL, "OTEL_EXPORTER_OTLP_HEADERS=x-key=" + markedPassword,
		"NATS_URL=" + strings.Replace(nc.URL(), "://", "://user:"+markedPassword+"@", 1),
	}
	p := launchWith(t, append(common, "DATABASE_URL="+database), "participation", "serve",
		"--grpc-address="+anyPort, "--http-address="+anyPort, "--ops-address="+anyPort)
	at := p.awaitLog(servingPattern)
	g := launchWith(t, common, "gateway", "serve", "--participation-url=http://"+at[2], "--address="+anyPort, "--ops-address="+anyPort, "--drain-window=0s")
	web := g.awaitLog(`"gateway is serving".*"http":"([^"]+)","ops":"([^"]+)"`)

	conn, err := grpc.NewClient(at[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	operator := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+tokens["operator"])
	if _, err := rafflev1.NewRaffleServiceClient(conn).CreateRaffle(operator, &rafflev1.CreateRaffleRequest{
		Title: "A", Winners: 1, Visibility: rafflev1.Raffle_MEMBERS,
	}); err != nil {
		t.Fatal(err)
	}
	// The odds of raffle 1, watched by a member.
	watch(t, "http://"+web[1]+"/api/v1/raffles/1/subscribe", tokens["member"], out)
	for _, who := range slices.Sorted(maps.Keys(tokens)) {
		callEverything(t, conn, who, tokens[who], out)
		for _, port := range []string{at[2], web[1]} {
			callOverHTTP(t, "http://"+port, who, tokens[who], out)
		}
	}
	readOperations(t, conn, "http://"+web[1], []string{at[3], web[2]}, tokens["member"], out)
	if _, err := p.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if _, err := g.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	traces.mu.Lock()
	spans := traces.raw.Bytes()
	traces.mu.Unlock()
	out.add("traces", spans)
	out.add("participation's log", []byte(p.log()))
	out.add("gateway's log", []byte(g.log()))
	for _, name := range []string{"NATS", "traces", "SSE", "participation's log", "gateway's log"} {
		if out.texts[name] == nil || out.texts[name].Len() == 0 {
			t.Errorf("there is no output %s: it was not searched", name)
		}
	}
	for _, found := range out.find(secrets) {
		t.Error(found)
	}
}

// withPassword adds the marked password to the URL of a database that asks for none.
func withPassword(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	if _, has := u.User.Password(); !has {
		query := u.Query()
		query.Set("password", markedPassword)
		u.RawQuery = query.Encode()
	}
	return u.String()
}

// watch reads a stream of events into the outputs until the test ends.
func watch(t *testing.T, address, token string, out *outputs) {
	t.Helper()
	first := make(chan struct{})
	for deadline := time.Now().Add(20 * time.Second); ; {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", "__Host-rafflecast="+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			go func() {
				defer resp.Body.Close()
				isFirst := true
				for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
					out.add("SSE", lines.Bytes())
					if isFirst && strings.HasPrefix(lines.Text(), "data:") {
						close(first)
						isFirst = false
					}
				}
			}()
			<-first
			return
		}
		resp.Body.Close()
		if time.Now().After(deadline) {
			t.Fatalf("GET %s: %s", address, resp.Status)
		}
	}
}

// fetch returns the status and body of an answer.
func fetch(t *testing.T, method, address, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Cookie", "__Host-rafflecast="+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// callOverHTTP makes the calls of browsers and operators, and notes errors.
func callOverHTTP(t *testing.T, base, who, token string, out *outputs) {
	t.Helper()
	for _, call := range []string{
		"POST /api/v1/raffles/1/entries?memberId=" + markedMember, "POST /api/v1/raffles/1/entries", "POST /api/v1/raffles/1/entries?token=" + markedPassword,
		"GET /api/v1/raffles/1/entries?memberId=" + markedMember, "POST /api/v1/raffles/1/entries:withdraw?memberId=" + markedMember,
		"POST /api/v1/raffles/0/entries?memberId=" + markedMember, "POST /api/v1/raffles/99/entries?memberId=" + markedMember,
		"GET /api/v1/raffles/1/odds", "GET /api/v1/raffles", "GET /api/v1/auditEvents", "POST /api/v1/raffles?title=A&winners=0", "POST /api/v1/session",
	} {
		method, path, _ := strings.Cut(call, " ")
		status, body := fetch(t, method, base+path, token)
		// The parameter that is wrong may be named, but not a secret in it.
		if status >= http.StatusBadRequest {
			out.add(fmt.Sprintf("the answer to %s as %s", call, who), []byte(strings.ReplaceAll(body, `(got \"`+markedMember+`\")`, "")))
		}
	}
}
