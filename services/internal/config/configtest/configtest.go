// Package configtest helps tests with settings.
package configtest

import (
	"testing"

	"github.com/alecthomas/kong"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Parse sets the struct that settings points to, to the defaults and then to args. The
// environment is not read, and bounds are not checked.
func Parse(t testing.TB, settings any, args ...string) {
	t.Helper()
	config.SetDefaults(settings)
	ctx, err := kong.Trace(kong.Must(settings, kong.NoDefaultHelp()), args)
	if err == nil {
		err = ctx.Error
	}
	if err == nil {
		_, err = ctx.Apply()
	}
	if err != nil {
		t.Fatal(err)
	}
}
