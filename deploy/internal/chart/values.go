package main

import (
	"fmt"
	"strconv"
	"strings"
)

// value is what is put in the place of a part of an object: a path of keys and indexes,
// and an expression, of which a template prints the value.
type value struct{ path, expression string }

const (
	quote = " | quote"
	// asYAML prints a structure on one line, which is YAML, too.
	asYAML = " | toJson"
)

// general are the values of every object that has the path.
var general = []value{
	{"metadata/namespace", ".Release.Namespace" + quote},
	{"metadata/labels/app.kubernetes.io~1instance", ".Release.Name" + quote},
	{"metadata/labels/app.kubernetes.io~1version", tag + quote},
	{"spec/template/metadata/labels/app.kubernetes.io~1instance", ".Release.Name" + quote},
	{"spec/template/metadata/labels/app.kubernetes.io~1version", tag + quote},
}

const tag = "(default .Chart.AppVersion .Values.images.tag)"

const (
	pod       = "spec/template/spec/"
	container = pod + "containers/0/"
	migration = pod + "initContainers/0/"
)

// particular are the values of single objects, by kind and name. Each path must exist.
var particular = map[string][]value{
	"Deployment/gateway": {
		{container + "image", image("gateway")},
		{container + "resources", ".Values.gateway.resources" + asYAML},
		{container + "env/GATEWAY_MAX_CONNECTIONS/value", ".Values.gateway.maxConnections" + quote},
		{container + "env/GATEWAY_TRUSTED_PROXIES/value", ".Values.gateway.trustedProxies" + quote},
		{container + "env/GATEWAY_ENTRIES_PER_CLIENT/value", ".Values.gateway.entriesPerClient" + quote},
		{container + "env/AUTH_ISSUER/value", ".Values.auth.issuer" + quote},
		{container + "env/GOMEMLIMIT/value", ".Values.gateway.goMemoryLimit" + quote},
	},
	"Deployment/participation": {
		{container + "image", image("participation")},
		{migration + "image", image("participation")},
		{"spec/replicas", ".Values.participation.replicas"},
		{container + "resources", ".Values.participation.resources" + asYAML},
		{container + "env/PARTICIPATION_ENTRIES_PER_MEMBER/value", ".Values.participation.entriesPerMember" + quote},
		{container + "env/PARTICIPATION_AUTH_CERTIFICATES/value", ".Values.auth.certificates" + quote},
		{container + "env/AUTH_ISSUER/value", ".Values.auth.issuer" + quote},
		{container + "env/GOMEMLIMIT/value", ".Values.participation.goMemoryLimit" + quote},
	},
	"StatefulSet/nats": {
		{container + "image", ".Values.nats.image" + quote},
		{container + "resources", ".Values.nats.resources" + asYAML},
		{"spec/volumeClaimTemplates/0/spec/resources/requests/storage", ".Values.nats.storage" + quote},
	},
	"HorizontalPodAutoscaler/gateway": {
		{"spec/minReplicas", ".Values.autoscaling.minReplicas"},
		{"spec/maxReplicas", ".Values.autoscaling.maxReplicas"},
		{"spec/metrics/0/pods/target/averageValue", ".Values.autoscaling.connections" + quote},
	},
	"ScaledObject/gateway": {
		{"spec/minReplicaCount", ".Values.autoscaling.minReplicas"},
		{"spec/maxReplicaCount", ".Values.autoscaling.maxReplicas"},
		{"spec/triggers/0/metadata/serverAddress", ".Values.autoscaling.prometheus" + quote},
		{"spec/triggers/0/metadata/threshold", ".Values.autoscaling.connections" + quote},
	},
	"NetworkPolicy/gateway": {
		{"spec/ingress/0/from/0/" + namespace, ".Values.networkPolicies.proxyNamespace" + quote},
		{"spec/ingress/1/from/0/" + namespace, monitoring},
		{"spec/egress/2/to/0/" + namespace, monitoring},
	},
	"NetworkPolicy/participation": {
		{"spec/ingress/2/from/0/" + namespace, monitoring},
		{"spec/egress/1/to", ".Values.networkPolicies.database" + asYAML},
		{"spec/egress/2/to/0/" + namespace, monitoring},
	},
	"NetworkPolicy/nats": {
		{"spec/ingress/2/from/0/" + namespace, monitoring},
	},
	"Gateway/rafflecast": {
		{"spec/gatewayClassName", ".Values.entrance.class" + quote},
		{"spec/listeners/0/hostname", host},
		{"spec/listeners/1/hostname", host},
	},
	"HTTPRoute/rafflecast":        {{"spec/hostnames/0", host}},
	"HTTPRoute/redirect-to-https": {{"spec/hostnames/0", host}},
	"Ingress/rafflecast": {
		{"spec/tls/0/hosts/0", host},
		{"spec/rules/0/host", host},
	},
}

const (
	host       = ".Values.entrance.host" + quote
	namespace  = "namespaceSelector/matchLabels/kubernetes.io~1metadata.name"
	monitoring = ".Values.networkPolicies.monitoringNamespace" + quote
)

func image(name string) string {
	return `printf "%s/` + name + `:%s" .Values.images.registry ` + tag + quote
}

// secrets are the names of secrets, each with the value that replaces it wherever it is.
var secrets = map[string]string{
	"participation-database": "database", "postgres-ca": "databaseCA",
	"nats-tls": "natsTLS", "nats-users": "natsUsers",
	"participation-nats": "participationNATS", "gateway-nats": "gatewayNATS",
	"rafflecast-tls": "publicTLS", "participation-tls": "participationTLS",
	"rafflecast-jwks": "jwks", "rafflecast-signing": "signing",
}

// conditions returns the conditions under which the chart has an object.
func conditions(o object) (all []string) {
	if o.kind() == "NetworkPolicy" {
		all = append(all, ".Values.networkPolicies.enabled")
	}
	if o.kind() == "HorizontalPodAutoscaler" {
		all = append(all, `eq .Values.autoscaling.kind "hpa"`)
	}
	return all
}

// parametrize puts expressions in the place of what values decide.
func (o object) parametrize() error {
	key := o.kind() + "/" + o.name()
	for _, v := range general {
		_ = put(map[string]any(o), v.path, v.expression) // not every object has each
	}
	for _, v := range particular[key] {
		if err := put(map[string]any(o), v.path, v.expression); err != nil {
			return fmt.Errorf("%s: %w", v.path, err)
		}
	}
	nameSecrets(map[string]any(o))
	return nil
}

// put replaces what a path leads to. An element of a list is named by its index or its
// name; ~1 stands for a slash, as in JSON pointers.
func put(in any, path, expression string) error {
	first, rest, more := strings.Cut(path, "/")
	first = strings.ReplaceAll(first, "~1", "/")
	set := func(old any, exists bool, store func(any)) error {
		switch {
		case !exists:
			return fmt.Errorf("there is no %s", first)
		case more:
			return put(old, rest, expression)
		}
		store(mark + "{{ " + expression + " }}" + mark)
		return nil
	}
	switch in := in.(type) {
	case map[string]any:
		old, exists := in[first]
		return set(old, exists, func(v any) { in[first] = v })
	case []any:
		for i, old := range in {
			named, _ := old.(map[string]any)
			if strconv.Itoa(i) == first || named["name"] == first {
				return set(old, true, func(v any) { in[i] = v })
			}
		}
	}
	return fmt.Errorf("there is no %s", first)
}

// nameSecrets replaces the names of secrets wherever pods, gateways and ingresses refer
// to them.
func nameSecrets(in any) {
	switch in := in.(type) {
	case []any:
		for _, element := range in {
			nameSecrets(element)
		}
	case map[string]any:
		for key, element := range in {
			switch key {
			case "secretName":
				in[key] = secretName(element)
			case "secretKeyRef":
				if ref, ok := element.(map[string]any); ok {
					ref["name"] = secretName(ref["name"])
				}
			case "certificateRefs":
				if refs, ok := element.([]any); ok {
					for _, ref := range refs {
						if ref, ok := ref.(map[string]any); ok {
							ref["name"] = secretName(ref["name"])
						}
					}
				}
			default:
				nameSecrets(element)
			}
		}
	}
}

func secretName(name any) any {
	text, _ := name.(string)
	if value, ok := secrets[text]; ok {
		return mark + "{{ .Values.secrets." + value + quote + " }}" + mark
	}
	return name
}
