package main

import (
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/config/configtest"
)

func TestConfig_EverySettingIsDeclaredInFull(t *testing.T) {
	t.Parallel()
	if err := configtest.Declarations(&commands{}); err != nil {
		t.Error(err)
	}
}
