package main

import "strings"

// object is one of JSON; its keys come out in order of the alphabet.
type object = map[string]any

// Sizes in Grafana's grid, which is 24 wide.
const (
	gridWidth   = 24
	panelWidth  = 8
	panelHeight = 8
)

const chosen = `namespace=~"$namespace",pod=~"$pod"`

var datasource = object{"type": "prometheus", "uid": "${datasource}"}

// layOut returns the dashboard as Grafana imports it.
func layOut(rows []row) object {
	return object{
		"uid": "rafflecast", "title": "Rafflecast", "tags": []string{"rafflecast"},
		"schemaVersion": 39, "editable": true, "graphTooltip": 1, "refresh": "30s",
		"time":       object{"from": "now-1h", "to": "now"},
		"templating": object{"list": []object{source(), variable("namespace", `label_values(up{job=~"rafflecast-.+"}, namespace)`), variable("pod", `label_values(up{job=~"rafflecast-.+",namespace=~"$namespace"}, pod)`)}},
		"panels":     grid(rows),
	}
}

// grid places the panels of each row from left to right, then on the next line.
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
			"expr": strings.ReplaceAll(q.expr, "@", chosen), "legendFormat": q.legend,
		})
	}
	return object{
		"type": "timeseries", "title": p.title, "description": p.about, "datasource": datasource, "targets": targets,
		"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []object{}},
		"options": object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
	}
}

// source lets the user choose a Prometheus.
func source() object {
	return object{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}
}

// variable lets the user choose values of a label, at first all.
func variable(name, query string) object {
	return object{
		"name": name, "type": "query", "datasource": datasource, "definition": query,
		"query":      object{"query": query, "refId": name},
		"includeAll": true, "multi": true, "allValue": ".*", "refresh": 2, "sort": 1,
		"current": object{"text": []string{"All"}, "value": []string{"$__all"}},
	}
}
