package manifests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	root = "../../.."
	dir  = root + "/deploy/kubernetes/"
	dev  = dir + "overlays/dev"
	prod = dir + "overlays/production"
	// yours is the example of an overlay from which an operator starts.
	yours = dir + "examples/your-overlay"
	// These are overlays of production with an entrance, made by render.
	withGatewayAPI = dir + "overlays/production-with-gateway-api"
	withIngress    = dir + "overlays/production-with-ingress"
)

// external lists the secret keys that the operator must provide for production.
var external = []string{
	"participation-database/DATABASE_URL", "participation-nats/NATS_URL", "gateway-nats/NATS_URL",
	"postgres-ca/ca.crt", "nats-tls/ca.crt", "nats-tls/tls.crt", "nats-tls/tls.key",
	"nats-users/PARTICIPATION_PASSWORD", "nats-users/GATEWAY_PASSWORD",
	"rafflecast-jwks/jwks.json", "participation-tls/ca.crt", "participation-tls/tls.crt", "participation-tls/tls.key",
	"rafflecast-signing/signing.key",
}

// render returns the rendered YAML of an overlay, and of the namespace, which no overlay
// has.
func render(t *testing.T, overlay string) string {
	t.Helper()
	return renderAlone(t, overlay) + "---\n" + read(t, dir+"namespace.yaml")
}

// renderAlone returns the rendered YAML of an overlay.
func renderAlone(t *testing.T, overlay string) string {
	t.Helper()
	if entrance, ok := strings.CutPrefix(overlay, dir+"overlays/production-with-"); ok {
		return renderOverlay(t, "resources: [../production]\ncomponents: [../../components/"+entrance+"]\n")
	}
	text, err := Render(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// renderOverlay returns the rendered YAML of an overlay with this kustomization.
func renderOverlay(t *testing.T, kustomization string) string {
	t.Helper()
	files := t.TempDir()
	if err := os.CopyFS(files, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(files, "overlays/own")
	if err := os.Mkdir(overlay, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := Render(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func replace(t *testing.T, text, from, to string) string {
	t.Helper()
	if !strings.Contains(text, from) {
		t.Fatalf("%q is not in the text", from)
	}
	return strings.Replace(text, from, to, 1)
}

func decode(t *testing.T, text string) *Objects {
	t.Helper()
	o, err := Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// programs asks the programs for their settings.
var programs = sync.OnceValues(func() (map[string]Settings, error) {
	made := map[string]Settings{}
	for _, name := range []string{"participation", "gateway"} {
		list := exec.Command("go", "run", "./cmd/"+name, "settings")
		list.Dir = root + "/services/" + name
		text, err := list.Output()
		if err != nil {
			return nil, err
		}
		if made[name], err = ParseSettings(text); err != nil {
			return nil, err
		}
	}
	return made, nil
})

func help(t *testing.T) map[string]Settings {
	t.Helper()
	p, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	if p["gateway"]["GATEWAY_DRAIN_WINDOW"] != "20s" || p["participation"]["LOG_FORMAT"] != "text" {
		t.Fatalf("the programs' settings were not understood: %v", p)
	}
	return p
}

// checks returns all checks of one overlay, by name.
func checks(t *testing.T) map[string]func(*Objects) error {
	t.Helper()
	programs := help(t)
	return map[string]func(*Objects) error{
		"ports": Ports, "selectors": Selectors, "routes": Routes, "budgets": Budgets, "security": Security,
		"references":  func(o *Objects) error { return References(o, secretsOf(o)) },
		"environment": func(o *Objects) error { return Environment(o, programs) },
		"connections": func(o *Objects) error {
			if len(o.Policies) == 0 {
				return nil // the overlay dev allows every connection
			}
			_, err := AllowedConnections(o)
			return err
		},
		"stop": func(o *Objects) error { return Stop(o, programs) },
	}
}

// secretsOf returns the secret keys that the operator must provide for an overlay:
// none if the overlay contains secrets itself.
func secretsOf(o *Objects) []string {
	if len(o.Secrets) > 0 {
		return nil
	}
	return external
}

func TestOverlays_PassAllChecks(t *testing.T) {
	t.Parallel()
	for _, overlay := range []string{dev, prod, withGatewayAPI, withIngress, yours} {
		o := decode(t, render(t, overlay))
		for name, check := range checks(t) {
			if err := check(o); err != nil {
				t.Errorf("%s, %s: %v", overlay, name, err)
			}
		}
	}
}

func TestProduction_LeavesTheEntranceToYou(t *testing.T) {
	t.Parallel()
	for overlay, want := range map[string][3]int{ // ingresses, gateways, routes
		prod: {}, dev: {}, withIngress: {1, 0, 0}, withGatewayAPI: {0, 1, 2}, yours: {0, 1, 2},
	} {
		o := decode(t, render(t, overlay))
		if got := [3]int{len(o.Ingresses), len(o.Gateways), len(o.Routes)}; got != want {
			t.Errorf("%s: %d ingresses, gateways and routes, want %d", overlay, got, want)
		}
	}
}

// Each object has the namespace of the overlay, and nothing names another one.
func TestProduction_RunsInAnyNamespace(t *testing.T) {
	t.Parallel()
	for _, entrance := range []string{"gateway-api", "ingress"} {
		text := renderOverlay(t,
			"namespace: elsewhere\nresources: [../production]\ncomponents: [../../components/"+entrance+"]\n")
		for line := range strings.Lines(text) {
			if strings.Contains(line, ".rafflecast.svc") && !strings.Contains(line, "PARTICIPATION_AUTH_CERTIFICATES") &&
				!strings.Contains(line, "value: operator=") || strings.Contains(line, "namespace: rafflecast") {
				t.Errorf("with %s: %s", entrance, line)
			}
		}
	}
	for _, overlay := range []string{prod, withGatewayAPI, withIngress} {
		err := forEachDocument([]byte(renderAlone(t, overlay)), func(document []byte) error {
			var object struct {
				Kind     string
				Metadata struct{ Name, Namespace string }
			}
			if err := yaml.Unmarshal(document, &object); err != nil {
				return err
			}
			if object.Metadata.Namespace != "rafflecast" {
				t.Errorf("%s: %s %s is in the namespace %q", overlay, object.Kind, object.Metadata.Name, object.Metadata.Namespace)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// kubectl delete -k must not delete a namespace, with all that is in it. And nothing may
// be immutable that a new version changes, as a Job is.
func TestOverlays_CanBeAppliedAgainAndDeleted(t *testing.T) {
	t.Parallel()
	for _, overlay := range []string{dev, prod, withGatewayAPI, withIngress, yours} {
		for _, kind := range []string{"Namespace", "Job"} {
			if strings.Contains(renderAlone(t, overlay), "\nkind: "+kind+"\n") {
				t.Errorf("%s has a %s", overlay, kind)
			}
		}
	}
}

// canReplace returns an error if a server would refuse to make one workload of another.
func canReplace(before, after *Workload) error {
	fixed := func(w *Workload) any {
		set, ok := w.Object.(*appsv1.StatefulSet)
		if !ok {
			return w.Selector
		}
		spec := set.Spec.DeepCopy()
		spec.Template, spec.Replicas, spec.UpdateStrategy = corev1.PodTemplateSpec{}, nil, appsv1.StatefulSetUpdateStrategy{}
		spec.MinReadySeconds, spec.RevisionHistoryLimit = 0, nil
		spec.PersistentVolumeClaimRetentionPolicy, spec.Ordinals = nil, nil
		return spec
	}
	if a, b := fixed(before), fixed(after); !reflect.DeepEqual(a, b) {
		return fmt.Errorf("fields that can't be changed differ:\n%v\n%v", a, b)
	}
	return nil
}

func TestYourOverlay_TakesAnotherVersion(t *testing.T) {
	t.Parallel()
	text := replace(t, read(t, filepath.Join(yours, "kustomization.yaml")), "../../overlays/production", "../production")
	before := decode(t, renderOverlay(t, text))
	after := decode(t, renderOverlay(t, strings.ReplaceAll(text, "1.0.0", "1.0.1")))
	for i, w := range before.Workloads {
		next := after.Workloads[i]
		if err := canReplace(w, next); err != nil {
			t.Errorf("%s: %v", w.Name, err)
		}
		restarts := !reflect.DeepEqual(w.Pod, next.Pod)
		if isOurs := w.Kind == "Deployment"; restarts != isOurs {
			t.Errorf("another version of the services restarts %s: %v, want %v", w.Name, restarts, isOurs)
		}
	}
}

func TestYourOverlay_ReplacesAllExampleValues(t *testing.T) {
	t.Parallel()
	text, replaced := render(t, yours), render(t, withGatewayAPI)
	for _, value := range []string{"image: rafflecast.local/", "rafflecast.example.com", "value: 10.0.0.0/8", "login.example.com"} {
		if strings.Contains(text, value) || !strings.Contains(replaced, value) {
			t.Errorf("%q is not replaced, or not in production", value)
		}
	}
}

// allowed lists the only connections that production allows: those of the diagram in
// the README, forwarding from the gateway to participation, relays of drand, DNS, traces
// and scraping.
var allowed = []string{
	"gateway -> namespace kubernetes.io/metadata.name=kube-system pods k8s-app=kube-dns:53",
	"gateway -> namespace kubernetes.io/metadata.name=kube-system pods k8s-app=kube-dns:53/UDP",
	"gateway -> namespace kubernetes.io/metadata.name=monitoring:4317",
	"gateway -> namespace kubernetes.io/metadata.name=monitoring:4318",
	"gateway -> nats:4222",
	"gateway -> participation:9080",
	"namespace kubernetes.io/metadata.name=gateway-system -> gateway:9998",
	"namespace kubernetes.io/metadata.name=monitoring -> gateway:9999",
	"namespace kubernetes.io/metadata.name=monitoring -> nats:8222",
	"namespace kubernetes.io/metadata.name=monitoring -> participation:9091",
	"namespace rafflecast.local/grpc-client=true -> participation:9090",
	"nats -> namespace kubernetes.io/metadata.name=kube-system pods k8s-app=kube-dns:53",
	"nats -> namespace kubernetes.io/metadata.name=kube-system pods k8s-app=kube-dns:53/UDP",
	"nats -> nats:6222",
	"participation -> 0.0.0.0/0 except 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16:443",
	"participation -> ::/0 except ::1/128 fc00::/7 fe80::/10:443",
	"participation -> namespace kubernetes.io/metadata.name=kube-system pods k8s-app=kube-dns:53",
	"participation -> namespace kubernetes.io/metadata.name=kube-system pods k8s-app=kube-dns:53/UDP",
	"participation -> namespace kubernetes.io/metadata.name=monitoring:4317",
	"participation -> namespace kubernetes.io/metadata.name=monitoring:4318",
	"participation -> nats:4222",
	"participation -> pods cnpg.io/cluster=postgres:5432",
}

func TestAllowedConnections_OfProduction(t *testing.T) {
	t.Parallel()
	for _, overlay := range []string{prod, withGatewayAPI, withIngress} {
		got, err := AllowedConnections(decode(t, render(t, overlay)))
		if err != nil || !slices.Equal(got, allowed) {
			t.Errorf("%s: %v, got\n%s", overlay, err, strings.Join(got, "\n"))
		}
	}
}

func TestProduction_ListsSecretsOfOperator(t *testing.T) {
	t.Parallel()
	text := read(t, filepath.Join(prod, "kustomization.yaml"))
	for _, secret := range append(slices.Clone(external), "rafflecast-tls/tls.key") {
		name, key, _ := strings.Cut(secret, "/")
		_, line, _ := strings.Cut(text, "#   "+name+" ")
		if line, _, _ = strings.Cut(line, "\n"); !strings.Contains(line, key) {
			t.Errorf("kustomization.yaml does not name the secret %s", secret)
		}
	}
}

func TestCompose_AgreesWithDev(t *testing.T) {
	t.Parallel()
	if err := compareCompose(t, read(t, root+"/deploy/compose.yaml")); err != nil {
		t.Error(err)
	}
}

func compareCompose(t *testing.T, text string) error {
	t.Helper()
	project, err := LoadCompose(t.Context(), []byte(text))
	if err != nil {
		return err
	}
	const replicas = "PARTICIPATION_STREAM_REPLICAS" // compose runs as many NATS servers as production
	production := decode(t, render(t, prod))
	extra := map[string]string{replicas: production.env(production.container("participation"))[replicas], "SERVER": "nats"}
	return CompareCompose(project, decode(t, render(t, dev)), help(t), extra)
}
