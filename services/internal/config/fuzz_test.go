package config

import (
	"strings"
	"testing"
)

// FuzzParse reads any command line and environment: it is accepted and within its bounds,
// or refused in words that hold no password.
func FuzzParse(f *testing.F) {
	for _, c := range [][2]string{
		{"serve\n--database-url=postgres://a/b\n--queue=7", "SERVICE_LEAST=3s\nSERVICE_MODE=odd"},
		{"all\n--service-queue\n-1\n--", "DATABASE_URL=postgres://me:password@host/x\nSERVICE_BUFFER=0x10"},
		{"load\n--size=1\nhere\nthere\n-h", ""},
		{"serve\n--most=9999999999h\n--migrate=perhaps\n--no-migrate", "LOG_LEVEL=DEBUG+9"},
		{"serve\n--address=[::1%eth0]:99999\n--mode=\xff\n---", "SERVICE_MIGRATE=\x00"},
		{"\n\n", "="},
	} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, args, variables string) {
		const secret = "correct-horse-battery"
		if strings.Contains(args+variables, secret) {
			return
		}
		p := &program{}
		environment := append(strings.Split(variables, "\n"), "DATABASE_URL=postgres://me:"+secret+"@host/x")
		_, err := newParser(p, environment).Parse(strings.Split(args, "\n"))
		if err != nil {
			if err.Error() == "" || strings.Contains(err.Error(), secret) {
				t.Errorf("%q %q: %v", args, variables, err)
			}
			return
		}
		command, _, _ := strings.Cut(strings.TrimLeft(args, "\n"), "\n")
		for _, s := range []struct {
			name     string
			settings *service
		}{{"serve", &p.Serve.Service}, {"all", &p.All.Service}} {
			if command != s.name {
				continue
			}
			if err := Validate(s.settings); err != nil && !strings.Contains(err.Error(), "has no value") {
				t.Errorf("%q %q is accepted: %v", args, variables, err)
			}
		}
	})
}
