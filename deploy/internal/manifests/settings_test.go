package manifests

import "testing"

func TestParseSettings_ReadsWhatSettingsPrints(t *testing.T) {
	t.Parallel()
	got, err := ParseSettings([]byte(`[{"command": "serve", "flag": "--drain-window", "variable": "GATEWAY_DRAIN_WINDOW", "default": "20s"}]`))
	if err != nil || len(got) != 1 || got["GATEWAY_DRAIN_WINDOW"] != "20s" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := ParseSettings([]byte("Usage: gateway")); err == nil {
		t.Errorf("help is taken for settings: %v", got)
	}
}
