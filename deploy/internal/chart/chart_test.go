package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

const (
	kubernetes = "../../kubernetes"
	helm       = "../../helm/rafflecast"
)

func TestTemplates_AreThoseOfTheChart(t *testing.T) {
	t.Parallel()
	made, err := templates(kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(helm, "templates"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
		text, err := os.ReadFile(filepath.Join(helm, "templates", f.Name()))
		if err != nil || string(text) != made[f.Name()] {
			t.Errorf("%s differs from what make chart makes: %v", f.Name(), err)
		}
	}
	if want := slices.Sorted(maps.Keys(made)); !slices.Equal(names, want) {
		t.Errorf("the chart has the templates\n%v, want\n%v", names, want)
	}
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(helm)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render returns the objects that the chart installs, by kind and name.
func render(t *testing.T, release chartutil.ReleaseOptions, values string) (map[string]object, error) {
	t.Helper()
	given := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		t.Fatal(err)
	}
	c := load(t)
	all, err := chartutil.ToRenderValues(c, given, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := (&engine.Engine{Strict: true}).Render(c, all)
	if err != nil {
		return nil, err
	}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text = append(text, files[name])
	}
	return objects(t, []byte(strings.Join(text, "\n---\n"))), nil
}

func objects(t *testing.T, text []byte) map[string]object {
	t.Helper()
	all := map[string]object{}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var o object
		if err := yaml.UnmarshalStrict(document, &o); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(o) > 0 {
			all[o.kind()+"/"+o.name()] = o
		}
	}
	return all
}

var release = chartutil.ReleaseOptions{Name: "rafflecast", Namespace: "rafflecast", IsInstall: true}

func TestChart_InstallsWhatTheOverlayHas(t *testing.T) {
	t.Parallel()
	for values, extra := range map[string][]string{
		"":                              nil,
		"entrance: {kind: gateway-api}": {"components/gateway-api/routes.yaml"},
		"entrance: {kind: ingress}":     {"components/ingress/ingress.yaml"},
	} {
		got, err := render(t, release, values)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]object{}
		for _, path := range append([]string{"overlays/production"}, extra...) {
			text, err := read(filepath.Join(kubernetes, path))
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(want, objects(t, text))
		}
		for key := range want {
			if !reflect.DeepEqual(got[key], want[key]) {
				t.Errorf("with %q: %s is\n%v, want\n%v", values, key, got[key], want[key])
			}
		}
		if len(got) != len(want) {
			t.Errorf("with %q the chart has %d objects, the overlay %d", values, len(got), len(want))
		}
	}
}

func TestChart_ScalesGateways(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"hpa": "HorizontalPodAutoscaler/gateway", "keda": "ScaledObject/gateway", "none": "",
	} {
		got, err := render(t, release, "autoscaling: {kind: "+kind+"}\ngateway: {replicas: 7}")
		if err != nil {
			t.Fatal(err)
		}
		for _, scaler := range []string{"HorizontalPodAutoscaler/gateway", "ScaledObject/gateway"} {
			if _, ok := got[scaler]; ok != (scaler == want) {
				t.Errorf("%s: there is a %s: %v", kind, scaler, ok)
			}
		}
		spec := got["Deployment/gateway"]["spec"].(map[string]any)
		if replicas, set := spec["replicas"]; set != (kind == "none") || set && replicas != float64(7) {
			t.Errorf("%s: the gateway has replicas %v", kind, replicas)
		}
	}
}

// leaves returns the paths of all values that are not maps, but for those that the chart
// takes as a whole.
func leaves(values map[string]any, prefix ...string) (paths [][]string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		path := append(slices.Clone(prefix), name)
		if inner, ok := values[name].(map[string]any); ok && name != "resources" {
			paths = append(paths, leaves(inner, path...)...)
			continue
		}
		paths = append(paths, path)
	}
	return paths
}

// other returns another value of the same type, which the schema allows.
func other(value any) any {
	switch value := value.(type) {
	case bool:
		return !value
	case float64:
		return value + 1
	case []any:
		return []any{map[string]any{"ipBlock": map[string]any{"cidr": "192.0.2.1/32"}}}
	case map[string]any:
		return map[string]any{"requests": map[string]any{"cpu": "7"}}
	}
	if text, _ := value.(string); strings.Trim(text, "0123456789") == "" {
		return text + "7"
	}
	return "other"
}

func TestChart_EachValueHasAnEffect(t *testing.T) {
	t.Parallel()
	values := load(t).Values
	for _, path := range leaves(values) {
		if path[len(path)-1] == "kind" {
			continue // other tests have each
		}
		var value any = values
		for _, name := range path {
			value = value.(map[string]any)[name]
		}
		changed := other(value)
		for _, name := range slices.Backward(path) {
			changed = map[string]any{name: changed}
		}
		text, err := yaml.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		hasEffect := false
		for _, kinds := range []string{
			"{entrance: {kind: gateway-api}}", "{entrance: {kind: ingress}}",
			"{autoscaling: {kind: keda}}", "{autoscaling: {kind: none}}", "{}",
		} {
			before, errBefore := render(t, release, kinds)
			merged := map[string]any{}
			if err := yaml.Unmarshal([]byte(kinds), &merged); err != nil {
				t.Fatal(err)
			}
			given := map[string]any{}
			if err := yaml.Unmarshal(text, &given); err != nil {
				t.Fatal(err)
			}
			both, err := yaml.Marshal(chartutil.MergeTables(given, merged))
			if err != nil {
				t.Fatal(err)
			}
			after, errAfter := render(t, release, string(both))
			if errBefore != nil || errAfter != nil {
				t.Fatalf("%s: %v, %v", text, errBefore, errAfter)
			}
			hasEffect = hasEffect || !reflect.DeepEqual(before, after)
		}
		if !hasEffect {
			t.Errorf("%s has no effect", strings.Join(path, "."))
		}
	}
}

func TestChart_RefusesUnknownValues(t *testing.T) {
	t.Parallel()
	for _, values := range []string{
		"entrances: {kind: none}", "entrance: {kind: istio}", "gateway: {maxConnections: many}", "participation: {replicas: 0}",
	} {
		if _, err := render(t, release, values); err == nil {
			t.Errorf("%s is accepted", values)
		}
	}
}

func TestChart_AnotherVersionLeavesNATSAlone(t *testing.T) {
	t.Parallel()
	var spec [2]any
	for i, tag := range []string{"1.0.0", "1.0.1"} {
		got, err := render(t, release, "images: {tag: "+tag+"}")
		if err != nil {
			t.Fatal(err)
		}
		spec[i] = got["StatefulSet/nats"]["spec"]
	}
	if !reflect.DeepEqual(spec[0], spec[1]) {
		t.Errorf("its StatefulSet is\n%v\nand then\n%v", spec[0], spec[1])
	}
}

// Releases may have any name and namespace.
func TestChart_RunsInAnyNamespace(t *testing.T) {
	t.Parallel()
	got, err := render(t, chartutil.ReleaseOptions{Name: "odds", Namespace: "elsewhere"}, "entrance: {kind: gateway-api}")
	if err != nil {
		t.Fatal(err)
	}
	for key, o := range got {
		metadata := o["metadata"].(map[string]any)
		labels, _ := metadata["labels"].(map[string]any)
		if metadata["namespace"] != "elsewhere" || labels != nil && labels["app.kubernetes.io/instance"] != "odds" {
			t.Errorf("%s: %v", key, metadata)
		}
	}
}
