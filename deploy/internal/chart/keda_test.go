package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// keda is the module that has KEDA's CRDs. It is not a dependency of this one, because
// nothing of it is compiled.
const keda = "github.com/kedacore/keda/v2@v2.18.1"

// kedaDir downloads the module, and returns its directory.
func kedaDir(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", keda)
	cmd.Dir = t.TempDir() // outside of any module
	out, err := cmd.Output()
	var module struct{ Dir, Error string }
	if errJSON := json.Unmarshal(out, &module); err != nil || errJSON != nil || module.Dir == "" {
		t.Fatalf("download %s: %v %v\n%s", keda, err, errJSON, out)
	}
	return module.Dir
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// forbidUnknown makes a schema refuse fields that it does not name, which a server would drop.
func forbidUnknown(schema any) {
	switch schema := schema.(type) {
	case map[string]any:
		_, named := schema["properties"]
		if _, more := schema["additionalProperties"]; named && !more && schema["x-kubernetes-preserve-unknown-fields"] != true {
			schema["additionalProperties"] = false
		}
		for _, part := range schema {
			forbidUnknown(part)
		}
	case []any:
		for _, part := range schema {
			forbidUnknown(part)
		}
	}
}

// scaledObjectSchema returns the schema of ScaledObjects in KEDA's CRD.
func scaledObjectSchema(t *testing.T, dir string) *jsonschema.Schema {
	t.Helper()
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string
				Served bool
				Schema struct{ OpenAPIV3Schema any }
			}
		}
	}
	readYAML(t, filepath.Join(dir, "config/crd/bases/keda.sh_scaledobjects.yaml"), &crd)
	for _, version := range crd.Spec.Versions {
		if version.Name != "v1alpha1" || !version.Served {
			continue
		}
		forbidUnknown(version.Schema.OpenAPIV3Schema)
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("scaledobject.json", version.Schema.OpenAPIV3Schema); err != nil {
			t.Fatal(err)
		}
		return compiler.MustCompile("scaledobject.json")
	}
	t.Fatal("KEDA does not serve keda.sh/v1alpha1")
	return nil
}

func TestScaledObjects_AreAsKEDAReadsThem(t *testing.T) {
	t.Parallel()
	dir := kedaDir(t)
	schema := scaledObjectSchema(t, dir)
	scaler, err := os.ReadFile(filepath.Join(dir, "pkg/scalers/prometheus_scaler.go"))
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := render(t, release, "autoscaling: {kind: keda}")
	if err != nil {
		t.Fatal(err)
	}
	var example object
	readYAML(t, filepath.Join(kubernetes, "examples/keda.yaml"), &example)
	for name, o := range map[string]object{"the example": example, "the chart": rendered["ScaledObject/gateway"]} {
		if err := schema.Validate(map[string]any(o)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		spec, _ := o["spec"].(map[string]any)
		triggers, _ := spec["triggers"].([]any)
		if len(triggers) != 1 || triggers[0].(map[string]any)["type"] != "prometheus" {
			t.Errorf("%s: want one trigger, of Prometheus: %v", name, triggers)
			continue
		}
		for key := range triggers[0].(map[string]any)["metadata"].(map[string]any) {
			if !strings.Contains(string(scaler), `keda:"name=`+key+`,`) {
				t.Errorf("%s: KEDA's scaler of Prometheus has no metadata %s", name, key)
			}
		}
	}
}
