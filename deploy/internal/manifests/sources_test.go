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

func TestNoKeyStandsTwiceInASource(t *testing.T) {
	t.Parallel()
	files := 0
	err := fs.WalkDir(os.DirFS(root+"/deploy"), ".", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) != ".yaml" || err != nil {
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
		"base/gateway.yaml": "  replicas: 2\n", "overlays/production/gateway.yaml": "  replicas: null", "overlays/dev/kustomization.yaml": "namespace: rafflecast\n",
	} {
		if err := NoDuplicates([]byte(replace(t, read(t, dir+path), from, from+"\n"+from))); err == nil {
			t.Errorf("%s: %q may stand twice", path, from)
		}
	}
}

// example decodes one of the examples, as far as into says, by its documents.
func example[T any](t *testing.T, name string) (documents []T) {
	t.Helper()
	err := each([]byte(read(t, dir+"examples/"+name)), func(document []byte) error {
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

func TestTheExamplesFitProduction(t *testing.T) {
	t.Parallel()
	o := decode(t, render(t, prod))
	// The autoscaler's metric is what the adapter makes of the gateway's.
	type rules struct {
		Rules struct {
			Custom []struct{ SeriesQuery string }
		}
	}
	metric := o.Autoscalers[0].Spec.Metrics[0].Pods.Metric.Name
	if adapter := example[rules](t, "prometheus-adapter.yaml")[0].Rules.Custom; len(adapter) != 1 || !strings.HasPrefix(adapter[0].SeriesQuery, metric+"{") {
		t.Errorf("the adapter does not make %s: %v", metric, adapter)
	}
	// What is scraped is there.
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

func TestTheExampleOfPostgreSQLTakesWhatProductionSends(t *testing.T) {
	t.Parallel()
	_, policy, _ := strings.Cut(read(t, dir+"examples/cloudnative-pg.yaml"), "\n---\n")
	// With the policy, and pods like those that the operator makes.
	stand := `apiVersion: apps/v1
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
	got, err := Arrows(decode(t, render(t, prod)+"---\n"+policy+"---\n"+stand))
	var to []string
	for _, arrow := range got {
		if strings.HasSuffix(arrow, "-> postgres:5432") {
			to = append(to, arrow)
		}
	}
	if want := []string{"participation -> postgres:5432", "participation-migrate -> postgres:5432", "postgres -> postgres:5432"}; !slices.Equal(to, want) {
		t.Errorf("got %v", to)
	}
	// The API server and backups are where no selector reaches.
	if err == nil || err.Error() != "policy postgres allows everybody" {
		t.Errorf("got %v", err)
	}
}
