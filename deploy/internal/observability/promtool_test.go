package observability

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/rulefmt"
)

type (
	// labelSet holds the labels of an alert, without its name and severity.
	labelSet = map[string]string
	// series holds the values of series, one every 15 s, in promtool's notation. In
	// the name of a series, @gateway and the like stand for the labels of a target.
	series map[string]string
	object = map[string]any
)

// firingCase is a situation in which an alert must fire. At the given time there must be
// exactly one instance of the alert, with these labels and this description.
type firingCase struct {
	alert, at   string
	labels      labelSet
	series      series
	description string
}

var (
	namespaced       = labelSet{"namespace": "r"}
	gatewayPod       = labelSet{"namespace": "r", "pod": "gateway-1", "job": "rafflecast-gateway"}
	participationPod = labelSet{"namespace": "r", "pod": "participation-1", "job": "rafflecast-participation"}
	targets          = strings.NewReplacer(
		"@gateway", `namespace="r",pod="gateway-1",job="rafflecast-gateway"`,
		"@another", `namespace="r",pod="gateway-2",job="rafflecast-gateway"`,
		"@participation", `namespace="r",pod="participation-1",job="rafflecast-participation"`)
)

// promtool runs Prometheus's own checker.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is missing: `make test` installs it")
		}
		t.Skip("promtool is missing: `make test` installs it on Debian") // CI fails instead
	}
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestRules_AreValid(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", rulesFile)
	promtool(t, "check", "config", root+"/deploy/prometheus/prometheus.yaml")
}

func TestAlerts_FireOnlyWhenTheyShould(t *testing.T) {
	t.Parallel()
	byName := make(map[string]rulefmt.Rule)
	var quiet []object
	for _, a := range alerts(t) {
		byName[a.Alert] = a
		for _, at := range []string{"15s", "20m", "25m15s", "27m", "30m", "55m"} {
			quiet = append(quiet, object{"alertname": a.Alert, "eval_time": at, "exp_alerts": []object{}})
		}
	}
	tests := []object{{"name": "healthy", "interval": "15s", "input_series": healthy.input(), "alert_rule_test": quiet}}
	left := maps.Clone(byName)
	for _, c := range firing {
		delete(left, c.alert)
		tests = append(tests, c.test(byName[c.alert]))
	}
	for name := range left {
		t.Errorf("no case makes %s fire", name)
	}
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(object{"rule_files": []string{rules}, "evaluation_interval": "15s", "tests": tests})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "test.yaml") // JSON is YAML
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", file)
}

// test returns the case as a test of promtool.
func (c *firingCase) test(rule rulefmt.Rule) object {
	expected := maps.Clone(c.labels)
	maps.Copy(expected, rule.Labels)
	annotations := maps.Clone(rule.Annotations)
	annotations["description"] = c.description
	return object{
		"name": c.alert, "interval": "15s", "input_series": c.series.input(),
		"alert_rule_test": []object{{
			"alertname": c.alert, "eval_time": c.at,
			"exp_alerts": []object{{"exp_labels": expected, "exp_annotations": annotations}},
		}},
	}
}

// input returns the series as the input of a test of promtool.
func (s series) input() (all []object) {
	for name, values := range s {
		all = append(all, object{"series": targets.Replace(name), "values": values})
	}
	return all
}
