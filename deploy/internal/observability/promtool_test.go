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
	// labelSet is of an alert, beside its name and severity.
	labelSet = map[string]string
	// series are values every 15 s in promtool's notation, by what they belong
	// to. @gateway and the like stand for the labels of a target.
	series map[string]string
	object = map[string]any
)

// firingCase is an alert that fires at a time, alone, as labels tell, with a
// description.
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
			t.Fatal("CI must have promtool: run this by `make test`")
		}
		t.Skip("there is no promtool: `make test` installs it where it can") // at home only
	}
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPrometheusAcceptsTheFiles(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", rulesFile)
	promtool(t, "check", "config", root+"/deploy/prometheus/prometheus.yaml")
}

func TestAlertsFireWhenTheyShouldAndNotElse(t *testing.T) {
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
		t.Errorf("nothing makes %s fire", name)
	}
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(object{"rule_files": []string{rules}, "evaluation_interval": "15s", "tests": tests})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "test.yaml") // which JSON is, too
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", file)
}

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

func (s series) input() (all []object) {
	for name, values := range s {
		all = append(all, object{"series": targets.Replace(name), "values": values})
	}
	return all
}
