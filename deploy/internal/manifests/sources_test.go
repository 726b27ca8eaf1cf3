package manifests

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

func TestSources_HaveNoDuplicateKeys(t *testing.T) {
	t.Parallel()
	files := 0
	err := fs.WalkDir(os.DirFS(root+"/deploy"), ".", func(path string, _ fs.DirEntry, err error) error {
		// Templates of the chart are no YAML; what they render is.
		if filepath.Ext(path) != ".yaml" || filepath.Base(filepath.Dir(path)) == "templates" || err != nil {
			return err
		}
		files++
		if err := NoDuplicates([]byte(read(t, filepath.Join(root, "deploy", path)))); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Errorf("%d files: %v", files, err)
	}
	for path, from := range map[string]string{
		"base/gateway.yaml":                "  replicas: 2\n",
		"overlays/production/gateway.yaml": "  replicas: null",
		"overlays/dev/kustomization.yaml":  "namespace: rafflecast\n",
	} {
		if err := NoDuplicates([]byte(replace(t, read(t, dir+path), from, from+"\n"+from))); err == nil {
			t.Errorf("%s: a second %q is accepted", path, from)
		}
	}
}

// example decodes the documents of one of the examples as values of type T.
func example[T any](t *testing.T, name string) (documents []T) {
	t.Helper()
	err := forEachDocument([]byte(read(t, dir+"examples/"+name)), func(document []byte) error {
		var one T
		err := yaml.Unmarshal(document, &one)
		documents = append(documents, one)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return documents
}

func TestExamples_FitProduction(t *testing.T) {
	t.Parallel()
	o := decode(t, render(t, prod))
	// The adapter provides the autoscaler's metric.
	type rules struct {
		Rules struct {
			Custom []struct{ SeriesQuery string }
		}
	}
	metric := o.Autoscalers[0].Spec.Metrics[0].Pods.Metric.Name
	adapter := example[rules](t, "prometheus-adapter.yaml")[0].Rules.Custom
	if len(adapter) != 1 || !strings.HasPrefix(adapter[0].SeriesQuery, metric+"{") {
		t.Errorf("the adapter does not provide %s: %v", metric, adapter)
	}
	// The scraped ports exist.
	type monitor struct {
		Spec struct {
			Selector            struct{ MatchExpressions []struct{ Values []string } }
			PodMetricsEndpoints []struct{ Port string }
		}
	}
	scraped := example[monitor](t, "pod-monitor.yaml")[0].Spec
	for _, name := range scraped.Selector.MatchExpressions[0].Values {
		if _, ok := o.workload(name).port(intstr.FromString(scraped.PodMetricsEndpoints[0].Port), corev1.ProtocolTCP); !ok {
			t.Errorf("%s has no port %s", name, scraped.PodMetricsEndpoints[0].Port)
		}
	}
}

func TestCloudNativePG_AcceptsConnectionsOfProduction(t *testing.T) {
	t.Parallel()
	_, policy, _ := strings.Cut(read(t, dir+"examples/cloudnative-pg.yaml"), "\n---\n")
	// Add the example's policy, and pods like those that the operator of CloudNativePG makes.
	pods := `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: postgres}
spec:
  selector: {matchLabels: {cnpg.io/cluster: postgres}}
  serviceName: postgres
  template:
    metadata: {labels: {cnpg.io/cluster: postgres}}
    spec:
      containers: [{name: postgres, ports: [{containerPort: 5432}, {containerPort: 8000}, {containerPort: 9187}]}]
`
	got, err := AllowedConnections(decode(t, render(t, prod)+"---\n"+policy+"---\n"+pods))
	var to []string
	for _, connection := range got {
		if strings.HasSuffix(connection, "-> postgres:5432") {
			to = append(to, connection)
		}
	}
	want := []string{
		"participation -> postgres:5432", "postgres -> postgres:5432",
	}
	if !slices.Equal(to, want) {
		t.Errorf("got %v", to)
	}
	// The rule for the API server and backups names no peer: no selector covers them.
	if err == nil || err.Error() != "policy postgres allows every peer" {
		t.Errorf("got %v", err)
	}
}
