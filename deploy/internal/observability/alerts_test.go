package observability

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
)

const (
	rulesFile  = root + "/deploy/prometheus/rafflecast.rules.yaml"
	runbookURL = "https://github.com/rafflecast/rafflecast/blob/main/deploy/README.md#"
)

// alerts returns the alerts of the rule file.
func alerts(t *testing.T) (all []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.ParseFile(rulesFile, false, model.UTF8Validation)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, group := range groups.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no alerts")
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAlerts_HaveSeverityDelayAndAnnotations(t *testing.T) {
	t.Parallel()
	for _, a := range alerts(t) {
		if s := a.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has severity %q", a.Alert, s)
		}
		if a.For == 0 && a.Alert != "RafflecastVersionsBumped" { // stays true for an hour
			t.Errorf("%s has no delay", a.Alert)
		}
		if a.Annotations["summary"] == "" || a.Annotations["runbook_url"] != runbookURL+strings.ToLower(a.Alert) {
			t.Errorf("%s has annotations %v", a.Alert, a.Annotations)
		}
		description := a.Annotations["description"]
		if !strings.Contains(description, "{{ $value") && a.Alert != "RafflecastAbsent" { // whose value is always 1
			t.Errorf("the description of %s does not contain the measured value", a.Alert)
		}
	}
}
