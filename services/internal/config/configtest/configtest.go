// Package configtest reads settings inside tests.
package configtest

import (
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Parse has register add its settings to a set, which then reads args; none comes
// from the environment.
func Parse(t testing.TB, register func(*config.Set), args ...string) {
	t.Helper()
	set := config.NewSet("test")
	register(set)
	if err := set.Parse(args, func(string) (string, bool) { return "", false }); err != nil {
		t.Fatal(err)
	}
}
