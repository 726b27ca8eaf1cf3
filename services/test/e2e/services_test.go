package e2e_test

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestServices_StopOnSIGTERM(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.client.create(t, "A", 1)
	b.client.enter(t, id, "7")
	if took, err := b.participation.stop(syscall.SIGTERM); err != nil || took > 10*time.Second {
		t.Errorf("participation stopped after %v: %v", took, err)
	}
	b.awaitRaffle(t, id) // the gateway goes on
	if took, err := b.gateway.stop(syscall.SIGTERM); err != nil || took > 10*time.Second {
		t.Errorf("the gateway stopped after %v: %v", took, err)
	}
}

func TestGateway_NamesTheFlagOfATakenPort(t *testing.T) {
	t.Parallel()
	taken := strings.TrimPrefix(setup(t).web, "http://")
	second := launch(t, "gateway", "serve", "--address="+taken, "--ops-address="+anyPort)
	second.awaitLog(taken + ` is taken by another process.*--address`)
}
