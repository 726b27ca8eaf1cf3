package load

import (
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/config/configtest"
)

// settings returns the configuration that these arguments give.
func settings(t *testing.T, args ...string) Config {
	t.Helper()
	var c Config
	configtest.Parse(t, &c, args...)
	return c
}

func TestConfig_ReportsAllErrors(t *testing.T) {
	t.Parallel()
	good := DefaultConfig()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := settings(t, "--mode=carrier-pigeon", "--concurrency=0", "--duration=0s", "--repeat-percent=101",
		"--target=nowhere", "--facade=127.0.0.1:9080")
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"--mode=carrier-pigeon", "--concurrency=0", "--duration=0s", "--repeat-percent=101", "--target=nowhere", "--facade=127.0.0.1:9080",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
