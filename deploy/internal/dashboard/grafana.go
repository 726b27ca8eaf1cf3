package main

import "strings"

// object is a JSON object. Its keys are printed in alphabetical order.
type object = map[string]any

// Sizes in units of Grafana's grid.
const (
	gridWidth   = 24
	panelWidth  = 8
	panelHeight = 8
	tileHeight  = 4
)

// selected matches the namespaces and pods that are selected on the dashboard.
const selected = `namespace=~"$namespace",pod=~"$pod"`

var datasource = object{"type": "prometheus", "uid": "${datasource}"}

// dashboard is one that Grafana imports.
type dashboard struct {
	uid, title string
	tiles      []tile // at the top
	rows       []row
}

// runbook is where the sections of alerts are.
const runbook = "https://github.com/rafflecast/rafflecast/blob/main/deploy/README.md#"

// object returns the dashboard in the form that Grafana imports.
func (d *dashboard) object() object {
	return object{
		"uid": d.uid, "title": d.title, "tags": []string{"rafflecast"},
		"schemaVersion": 39, "editable": true, "graphTooltip": 1, "refresh": "30s",
		"time": object{"from": "now-1h", "to": "now"},
		"links": []object{{
			"type": "dashboards", "tags": []string{"rafflecast"}, "title": "Rafflecast", "asDropdown": true, "includeVars": true, "keepTime": true,
		}},
		"annotations": object{"list": []object{
			annotation("Deployments", "blue", "{{job}} {{version}}",
				`group by (job, version, revision) (rafflecast_build_info{@}) unless group by (job, version, revision) (rafflecast_build_info{@} offset 5m)`),
			annotation("Alerts", "red", "{{alertname}}", `group by (alertname) (ALERTS{alertname=~"Rafflecast.+",alertstate="firing",namespace=~"$namespace"})`),
		}},
		"templating": object{"list": []object{
			source(),
			variable("namespace", `label_values(up{job=~"rafflecast-.+"}, namespace)`),
			variable("pod", `label_values(up{job=~"rafflecast-.+",namespace=~"$namespace"}, pod)`),
		}},
		"panels": grid(d.tiles, d.rows),
	}
}

// annotation marks the times at which a query has a value.
func annotation(name, color, text, expr string) object {
	return object{
		"name": name, "enable": true, "iconColor": color, "datasource": datasource,
		"expr": strings.ReplaceAll(expr, "@", selected), "step": "60s", "titleFormat": name, "textFormat": text,
	}
}

// grid places the tiles and the panels of each row from left to right, and continues on the
// next line.
func grid(tiles []tile, rows []row) (all []object) {
	y := 0
	add := func(o object, x, w, h int) {
		o["id"] = len(all) + 1
		o["gridPos"] = object{"x": x, "y": y, "w": w, "h": h}
		all = append(all, o)
	}
	for i := range tiles {
		add(stat(&tiles[i]), i*gridWidth/len(tiles), gridWidth/len(tiles), tileHeight)
	}
	y += tileHeight
	for _, r := range rows {
		add(object{"type": "row", "title": r.title, "collapsed": false, "panels": []object{}}, 0, gridWidth, 1)
		y++
		x := 0
		for i := range r.panels {
			if x+panelWidth > gridWidth {
				x, y = 0, y+panelHeight
			}
			add(timeseries(&r.panels[i]), x, panelWidth, panelHeight)
			x += panelWidth
		}
		y += panelHeight
	}
	return all
}

// stat returns a tile: the newest value, on the color of its threshold.
func stat(t *tile) object {
	o := timeseries(&t.panel)
	o["type"] = "stat"
	steps := []object{{"color": t.color, "value": nil}}
	for _, s := range t.steps {
		steps = append(steps, object{"color": s.color, "value": s.from})
	}
	o["fieldConfig"] = object{"overrides": []object{}, "defaults": object{
		"unit": t.unit, "min": 0, "color": object{"mode": "thresholds"}, "thresholds": object{"mode": "absolute", "steps": steps},
	}}
	o["options"] = object{
		"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "colorMode": "background", "graphMode": "area", "textMode": "auto",
	}
	return o
}

// links leads from a panel to what the runbook says about the alerts on what it shows.
func links(title string) (all []object) {
	for _, alert := range alerts[title] {
		all = append(all, object{"title": "Runbook: " + alert, "url": runbook + strings.ToLower(alert), "targetBlank": true})
	}
	return all
}

func timeseries(p *panel) object {
	var targets []object
	for i, q := range p.queries {
		targets = append(targets, object{
			"refId": string(rune('A' + i)), "datasource": datasource,
			"expr": strings.ReplaceAll(q.expr, "@", selected), "legendFormat": q.legend,
		})
	}
	o := object{
		"type": "timeseries", "title": p.title, "description": p.description, "datasource": datasource, "targets": targets,
		"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []object{}},
		"options": object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
	}
	if l := links(p.title); l != nil {
		o["links"] = l
	}
	return o
}

// source returns the variable by which the user selects a Prometheus.
func source() object {
	return object{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}
}

// variable returns a variable by which the user selects values of a label, all by default.
func variable(name, query string) object {
	return object{
		"name": name, "type": "query", "datasource": datasource, "definition": query,
		"query":      object{"query": query, "refId": name},
		"includeAll": true, "multi": true, "allValue": ".*", "refresh": 2, "sort": 1,
		"current": object{"text": []string{"All"}, "value": []string{"$__all"}},
	}
}
