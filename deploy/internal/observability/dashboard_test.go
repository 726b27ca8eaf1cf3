package observability

import (
	"encoding/json"
	"maps"
	"os/exec"
	"strings"
	"testing"
)

// dashboards are the names of the files in deploy/grafana.
var dashboards = []string{"rafflecast", "raffles"}

func dashboardFile(name string) string { return root + "/deploy/grafana/" + name + ".json" }

// dashboard is the checked part of Grafana's JSON.
type dashboard struct {
	UID         string
	Templating  struct{ List []struct{ Name string } }
	Annotations struct{ List []struct{ Name, Expr string } }
	Panels      []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ RefID, Expr string }
		FieldConfig struct{ Defaults struct{ Unit string } }
		Datasource  struct{ UID string }
		Links       []struct{ URL string }
	}
}

func readDashboard(t *testing.T, name string) *dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile(name))), &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// panelQueries returns the expressions of each panel of all dashboards, by title.
func panelQueries(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for _, name := range dashboards {
		maps.Copy(all, readDashboard(t, name).queries())
	}
	return all
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
	for _, name := range dashboards {
		generated, err := exec.CommandContext(t.Context(), "go", "run", "../dashboard", "-name="+name).Output()
		if err != nil {
			t.Fatal(err)
		}
		if string(generated) != read(t, dashboardFile(name)) {
			t.Errorf("%s is out of date: run `make dashboard`", dashboardFile(name))
		}
	}
}

func TestDashboard_IsValid(t *testing.T) {
	t.Parallel()
	uids := map[string]bool{}
	for _, name := range dashboards {
		d := readDashboard(t, name)
		checkDashboard(t, d)
		if d.UID == "" || uids[d.UID] || len(d.Annotations.List) != 2 {
			t.Errorf("%s has the UID %q and %d annotations", name, d.UID, len(d.Annotations.List))
		}
		uids[d.UID] = true
	}
}

// Whoever sees something wrong on a panel is one click from what to do.
func TestDashboard_LeadsToTheRunbookOfEachAlert(t *testing.T) {
	t.Parallel()
	linked := map[string]bool{}
	for _, name := range dashboards {
		for _, p := range readDashboard(t, name).Panels {
			for _, link := range p.Links {
				linked[link.URL] = true
			}
		}
	}
	for _, a := range alerts(t) {
		if url := a.Annotations["runbook_url"]; !linked[url] {
			t.Errorf("no panel leads to %s", url)
		} else {
			delete(linked, url)
		}
	}
	for url := range linked {
		t.Errorf("there is no alert with the runbook %s", url)
	}
}

func checkDashboard(t *testing.T, d *dashboard) {
	t.Helper()
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
