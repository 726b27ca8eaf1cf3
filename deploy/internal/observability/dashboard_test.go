package observability

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

const dashboardFile = root + "/deploy/grafana/rafflecast.json"

// dashboard is the checked part of Grafana's JSON.
type dashboard struct {
	Templating struct{ List []struct{ Name string } }
	Panels     []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ RefID, Expr string }
		FieldConfig struct{ Defaults struct{ Unit string } }
		Datasource  struct{ UID string }
	}
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// queries returns the expressions of each panel, by title. A constant takes the place of
// Grafana's rate interval.
func (d *dashboard) queries() map[string][]string {
	all := make(map[string][]string)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	return all
}

func TestDashboard_IsGenerated(t *testing.T) {
	t.Parallel()
	generated, err := exec.CommandContext(t.Context(), "go", "run", "../dashboard").Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(generated) != read(t, dashboardFile) {
		t.Error("deploy/grafana/rafflecast.json is out of date: run `make dashboard`")
	}
}

func TestDashboard_IsValid(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	ids, titles := map[int]bool{}, map[string]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || titles[p.Title] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d %q has no ID or title, or another panel has the same", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q overlaps %q, or lies outside the grid", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %q has no query, unit or data source", p.Title)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if target.Expr == "" || refs[target.RefID] || !strings.Contains(target.Expr, `namespace=~"$namespace",pod=~"$pod"`) {
				t.Errorf("panel %q: query %s is empty, a duplicate, or ignores the selected pods: %q",
					p.Title, target.RefID, target.Expr)
			}
			refs[target.RefID] = true
		}
	}
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
	}
	if got := strings.Join(names, " "); got != "datasource namespace pod" {
		t.Errorf("variables %q", got)
	}
}
