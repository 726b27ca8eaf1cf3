package main

import "strings"

// object is a JSON object. Its keys are printed in alphabetical order.
type object = map[string]any

// Sizes in units of Grafana's grid.
const (
	gridWidth   = 24
	panelWidth  = 8
	panelHeight = 8
)

// selected matches the namespaces and pods that are selected on the dashboard.
const selected = `namespace=~"$namespace",pod=~"$pod"`

var datasource = object{"type": "prometheus", "uid": "${datasource}"}

// dashboard returns the dashboard in the form that Grafana imports.
func dashboard(rows []row) object {
	return object{
		"uid": "rafflecast", "title": "Rafflecast", "tags": []string{"rafflecast"},
		"schemaVersion": 39, "editable": true, "graphTooltip": 1, "refresh": "30s",
		"time": object{"from": "now-1h", "to": "now"},
		"templating": object{"list": []object{
			source(),
			variable("namespace", `label_values(up{job=~"rafflecast-.+"}, namespace)`),
			variable("pod", `label_values(up{job=~"rafflecast-.+",namespace=~"$namespace"}, pod)`),
		}},
		"panels": grid(rows),
	}
}

// grid places the panels of each row from left to right, and continues on the next line.
func grid(rows []row) (all []object) {
	y := 0
	add := func(o object, x, w, h int) {
		o["id"] = len(all) + 1
		o["gridPos"] = object{"x": x, "y": y, "w": w, "h": h}
		all = append(all, o)
	}
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

func timeseries(p *panel) object {
	var targets []object
	for i, q := range p.queries {
		targets = append(targets, object{
			"refId": string(rune('A' + i)), "datasource": datasource,
			"expr": strings.ReplaceAll(q.expr, "@", selected), "legendFormat": q.legend,
		})
	}
	return object{
		"type": "timeseries", "title": p.title, "description": p.description, "datasource": datasource, "targets": targets,
		"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []object{}},
		"options": object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
	}
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
