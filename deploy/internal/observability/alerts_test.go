package observability

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
)

const (
	rulesFile = root + "/deploy/prometheus/rafflecast.rules.yaml"
	runbook   = "https://github.com/rafflecast/rafflecast/blob/main/deploy/README.md#"
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

// paragraphs returns the runbook's text for each alert, by the alert's name.
func paragraphs(t *testing.T) map[string]string {
	t.Helper()
	_, text, _ := strings.Cut(read(t, root+"/deploy/README.md"), "\n## Alerts\n")
	text, _, _ = strings.Cut(text, "\n## ")
	all := make(map[string]string)
	for _, section := range strings.Split(text, "\n### ")[1:] {
		name, paragraph, _ := strings.Cut(section, "\n")
		all[name] = strings.TrimSpace(paragraph)
	}
	return all
}

func TestEachAlertSaysWhatItIsAndWhereHelpIs(t *testing.T) {
	t.Parallel()
	for _, a := range alerts(t) {
		if s := a.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has severity %q", a.Alert, s)
		}
		if a.For == 0 && a.Alert != "RafflecastVersionsRaised" { // which is true from then on
			t.Errorf("%s does not wait", a.Alert)
		}
		if a.Annotations["summary"] == "" || a.Annotations["runbook_url"] != runbook+strings.ToLower(a.Alert) {
			t.Errorf("%s has annotations %v", a.Alert, a.Annotations)
		}
		if !strings.Contains(a.Annotations["description"], "{{ $value") && a.Alert != "RafflecastAbsent" { // whose value is always 1
			t.Errorf("%s does not say what was measured", a.Alert)
		}
	}
}

func TestTheRunbookHasAParagraphForEachAlert(t *testing.T) {
	t.Parallel()
	left := paragraphs(t)
	for _, a := range alerts(t) {
		text := left[a.Alert]
		delete(left, a.Alert)
		if !strings.HasPrefix(strings.ToLower(text), a.Labels["severity"]+". ") || len(text) < 200 {
			t.Errorf("%s: %q", a.Alert, text)
		}
	}
	for name := range left {
		t.Errorf("there is no alert %s", name)
	}
}

func TestTheRunbookNamesPanelsAndAlertsThatExist(t *testing.T) {
	t.Parallel()
	var names []string
	for _, a := range alerts(t) {
		names = append(names, a.Alert)
	}
	panels := readDashboard(t).queries()
	named := 0
	for alert, text := range paragraphs(t) {
		for _, panel := range regexp.MustCompile(`\*([^*]+)\*`).FindAllStringSubmatch(strings.ReplaceAll(regexp.MustCompile("`[^`]*`").ReplaceAllString(text, ""), "\n", " "), -1) {
			named++
			if panels[panel[1]] == nil {
				t.Errorf("%s: there is no panel %q", alert, panel[1])
			}
		}
		for _, other := range regexp.MustCompile(`Rafflecast\w+`).FindAllString(text, -1) {
			if !slices.Contains(names, other) {
				t.Errorf("%s: there is no alert %s", alert, other)
			}
		}
	}
	if named == 0 {
		t.Error("no panel is named")
	}
}
