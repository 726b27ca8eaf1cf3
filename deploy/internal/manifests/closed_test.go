package manifests

import (
	"slices"
	"strings"
	"testing"
)

// Where nobody is authenticated, this variable says so, with its reason beside it. Such a
// place must not be reachable from other machines: the overlay dev has no entrance, and a
// test of the compose file checks that its ports are on loopback.
const anonymous = "ALLOW_ANONYMOUS"

func TestManifests_AreClosedUnlessTold(t *testing.T) {
	t.Parallel()
	for _, overlay := range []string{dir + "base", prod, withGatewayAPI, withIngress, yours} {
		text := renderAlone(t, overlay)
		if strings.Contains(text, anonymous) {
			t.Errorf("%s says %s", overlay, anonymous)
		}
		if overlay == dir+"base" {
			continue // it does not start until an overlay says who may call
		}
		if n := strings.Count(text, "name: AUTH_JWKS"); n != 2 {
			t.Errorf("%s has AUTH_JWKS %d times, want it for each service", overlay, n)
		}
	}
	if text := renderAlone(t, dev); strings.Contains(text, "kind: Ingress") || strings.Contains(text, "kind: HTTPRoute") || strings.Contains(text, "type: LoadBalancer") {
		t.Error("dev, where nobody is authenticated, has an entrance")
	}
	for _, path := range []string{dir + "overlays/dev/kustomization.yaml", root + "/deploy/compose.yaml"} {
		lines := strings.Split(read(t, path), "\n")
		said := 0
		for i, line := range lines {
			if !strings.Contains(line, anonymous) || strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			said++
			if !strings.Contains(line, "# ") && (i == 0 || !strings.HasPrefix(strings.TrimSpace(lines[i-1]), "#")) {
				t.Errorf("%s: line %d has no reason", path, i+1)
			}
		}
		if said == 0 {
			t.Errorf("%s does not say %s", path, anonymous)
		}
	}
}

// certificate is what matters here of an object of cert-manager.
type certificate struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		SecretName string
		DNSNames   []string
		Usages     []string
		IsCA       bool
		IssuerRef  struct{ Name string }
		CA         *struct{ SecretName string }
		PrivateKey struct{ Algorithm, RotationPolicy string }
	}
}

// The example for cert-manager makes the secret that production mounts, for the names by
// which participation is called, and a client's certificate for the role that production
// gives to its name.
func TestCertManager_MakesTheCertificatesOfProduction(t *testing.T) {
	t.Parallel()
	objects := example[certificate](t, "cert-manager.yaml")
	secrets, issuers := map[string]certificate{}, map[string]certificate{}
	for _, o := range objects {
		if o.Kind == "Certificate" {
			secrets[o.Spec.SecretName] = o
		} else {
			issuers[o.Metadata.Name] = o
		}
	}
	for _, o := range secrets {
		issuer, ok := issuers[o.Spec.IssuerRef.Name]
		if !ok {
			t.Errorf("%s has no issuer %q", o.Metadata.Name, o.Spec.IssuerRef.Name)
		} else if issuer.Spec.CA != nil && !secrets[issuer.Spec.CA.SecretName].Spec.IsCA {
			t.Errorf("the issuer %s has no authority", issuer.Metadata.Name)
		}
	}
	server := secrets["participation-tls"]
	if !slices.Contains(external, server.Spec.SecretName+"/tls.crt") || !slices.Contains(server.Spec.Usages, "server auth") || server.Spec.PrivateKey.RotationPolicy != "Always" {
		t.Errorf("the server's certificate: %+v", server)
	}
	text := renderAlone(t, prod)
	if !slices.ContainsFunc(server.Spec.DNSNames, func(name string) bool { return strings.Contains(text, "https://"+name+":") }) {
		t.Errorf("the gateway calls participation by none of the names %v", server.Spec.DNSNames)
	}
	client := secrets["operator-tls"]
	if len(client.Spec.DNSNames) != 1 || !slices.Contains(client.Spec.Usages, "client auth") || !strings.Contains(text, "operator="+client.Spec.DNSNames[0]) {
		t.Errorf("the operator's certificate: %+v", client)
	}
}
