package manifests

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestDecode_RejectsMalformedObjects(t *testing.T) {
	t.Parallel()
	const grace = "terminationGracePeriodSeconds"
	text := render(t, withGatewayAPI)
	for _, broken := range []struct{ from, to, want string }{
		{grace + ": 40", "terminationGracePeriod: 40", `unknown field "spec.template.spec.terminationGracePeriod"`},
		{grace + ": 40", grace + ": 40\n      " + grace + ": 50", "already set"},
		{grace + ": 40", grace + ": soon", "cannot unmarshal string"},
		{"apiVersion: policy/v1\n", "apiVersion: policy/v1beta1\n", "policy/v1beta1, Kind=PodDisruptionBudget is not served"},
		{"kind: HTTPRoute", "kind: HTTPRout", "no kind"},
		{"backendRequest: 0s", "backend: 0s", `unknown field "spec.rules[0].timeouts.backend"`},
		{"kind: NetworkPolicy", "kind: NetworkPolicies", "no kind"},
	} {
		_, err := Decode([]byte(replace(t, text, broken.from, broken.to)))
		if err == nil || !strings.Contains(err.Error(), broken.want) {
			t.Errorf("%s: got %v, want %s", broken.to, err, broken.want)
		}
	}
}

// pod returns the pod spec of a workload.
func (o *Objects) pod(name string) *corev1.PodSpec { return &o.workload(name).Pod.Spec }

func (o *Objects) container(name string) *corev1.Container { return &o.pod(name).Containers[0] }

// migration returns the container that migrates the database.
func (o *Objects) migration() *corev1.Container { return &o.pod("participation").InitContainers[0] }

func (o *Objects) setenv(name, key, value string) {
	c := o.container(name)
	for i := range c.Env {
		if c.Env[i].Name == key {
			c.Env[i] = corev1.EnvVar{Name: key, Value: value}
			return
		}
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: key, Value: value})
}

// faults lists what each check must find in production, which is correct otherwise.
var faults = []struct {
	check  string
	damage func(*Objects)
	want   string
}{
	{"ports", func(o *Objects) {
		o.service("gateway").Spec.Ports[0].TargetPort = intstr.FromString("web")
	}, "gateway has no port web"},
	{"ports", func(o *Objects) {
		o.service("gateway").Spec.Selector["app.kubernetes.io/name"] = "gate"
	}, "selects no pods"},
	{"ports", func(o *Objects) { o.service("gateway").Spec.Selector = nil }, "selects no pods"},
	{"ports", func(o *Objects) {
		o.container("gateway").LivenessProbe.HTTPGet.Port = intstr.FromInt(9998 + 2)
	}, "uses port 10000, which does not exist"},
	{"ports", func(o *Objects) { o.container("nats").StartupProbe = nil }, "nats lacks a probe"},
	{"ports", func(o *Objects) {
		o.setenv("participation", "PARTICIPATION_GRPC_ADDRESS", ":9099")
	}, "GRPC_ADDRESS=:9099, but the container has no such port"},
	{"ports", func(o *Objects) {
		o.container("gateway").Ports[0].Name = ""
		o.service("gateway").Spec.Ports[0].TargetPort = intstr.FromInt(9997)
	}, "gateway has no port 9997"},
	{"selectors", func(o *Objects) {
		o.workload("nats").Selector.MatchLabels["app.kubernetes.io/name"] = "mats"
	}, "selector of nats"},
	{"selectors", func(o *Objects) {
		o.pod("gateway").TopologySpreadConstraints[1].LabelSelector.MatchLabels = nil
	}, "spread over"},
	{"selectors", func(o *Objects) {
		o.pod("participation").TopologySpreadConstraints[0].MatchLabelKeys = nil
	}, "counts pods of the old version"},
	{"selectors", func(o *Objects) {
		delete(o.workload("participation").Pod.Labels, "app.kubernetes.io/part-of")
	}, "the label part-of of participation"},
	{"selectors", func(o *Objects) {
		o.workload("gateway").Pod.Labels["app.kubernetes.io/version"] = "0.9.0"
	}, "the label version of gateway"},
	{"selectors", func(o *Objects) {
		delete(o.workload("nats").Pod.Labels, "app.kubernetes.io/component")
	}, "the pods of nats have no label component"},
	{"routes", func(o *Objects) { route(o).Timeouts.Request = new(gatewayv1.Duration("30s")) }, "would cut streams"},
	{"routes", func(o *Objects) { route(o).Timeouts = nil }, "would cut streams"},
	{"routes", func(o *Objects) {
		route(o).BackendRefs[0].Name = "participation-http"
	}, "only the gateway may be reached"},
	{"routes", func(o *Objects) { *route(o).BackendRefs[0].Port = 8080 }, "no service gateway with port 8080"},
	{"routes", func(o *Objects) { o.setenv("gateway", "PARTICIPATION_URL", "") }, "does not forward entries"},
	{"routes", func(o *Objects) {
		o.setenv("gateway", "PARTICIPATION_URL", "http://participation:9080")
	}, "no service participation with port 9080"},
	{"routes", func(o *Objects) {
		o.setenv("gateway", "PARTICIPATION_URL", "http://participation-http")
	}, "has no port"},
	{"routes", func(o *Objects) { o.Gateways[0].Spec.Listeners[0].Name = "tls" }, "its listener does not exist"},
	{"budgets", func(o *Objects) {
		o.Budgets[0].Spec.Selector.MatchLabels["app.kubernetes.io/name"] = "none"
	}, "selects 0 workloads"},
	{"budgets", func(o *Objects) { o.Budgets[0].Spec.MaxUnavailable = new(intstr.FromInt(0)) }, "allows 0 of 3"},
	{"budgets", func(o *Objects) {
		o.Budgets[0].Spec.MaxUnavailable = new(intstr.FromString("100%"))
	}, "allows 3 of 3"},
	{"budgets", func(o *Objects) {
		o.Budgets[0].Spec.MaxUnavailable, o.Budgets[0].Spec.MinAvailable = nil, new(intstr.FromInt(3))
	}, "allows 0 of 3"},
	{"budgets", func(o *Objects) { o.Budgets = o.Budgets[1:] }, "has no budget"},
	{"budgets", func(o *Objects) { o.Autoscalers[0].Spec.ScaleTargetRef.Name = "gateways" }, "no Deployment gateways"},
	{"budgets", func(o *Objects) { o.workload("gateway").Replicas = new(int32(2)) }, "which autoscaler gateway decides"},
	{"budgets", func(o *Objects) {
		rolling(o, "gateway").MaxUnavailable = new(intstr.FromInt(1))
	}, "before a new one is ready"},
	{"security", func(o *Objects) { o.Namespaces[0].Labels = nil }, "does not enforce"},
	{"security", func(o *Objects) { o.container("nats").SecurityContext.Capabilities = nil }, "capabilities"},
	{"security", func(o *Objects) { o.pod("gateway").SecurityContext.RunAsNonRoot = nil }, "runAsNonRoot"},
	{"security", func(o *Objects) { o.pod("gateway").SecurityContext.SeccompProfile = nil }, "seccompProfile"},
	{"security", func(o *Objects) {
		o.container("gateway").SecurityContext.AllowPrivilegeEscalation = nil
	}, "allowPrivilegeEscalation"},
	{"security", func(o *Objects) {
		o.container("gateway").SecurityContext.ReadOnlyRootFilesystem = nil
	}, "is writable"},
	{"security", func(o *Objects) { o.pod("gateway").AutomountServiceAccountToken = nil }, "get an API token"},
	{"security", func(o *Objects) { o.pod("gateway").ServiceAccountName = "admin" }, "service account does not exist"},
	{"references", func(o *Objects) { o.pod("nats").Volumes[0].ConfigMap.Name = "nats" }, "unknown config map: nats"},
	{"references", func(o *Objects) { o.pod("nats").Volumes = o.pod("nats").Volumes[1:] }, "has no volume"},
	{"references", func(o *Objects) {
		o.container("gateway").VolumeMounts = nil
	}, "does not mount its volume nats-ca"},
	{"references", func(o *Objects) {
		o.pod("gateway").Volumes[0].Secret.Items[0].Key = "ca.pem"
	}, "unknown secret: nats-tls/ca.pem"},
	{"references", func(o *Objects) { o.Services = nil }, "has no headless service nats"},
	{"environment", func(o *Objects) { o.setenv("gateway", "GATEWAY_DRAIN", "1s") }, "gateway does not know GATEWAY_DRAIN"},
	{"environment", func(o *Objects) {
		o.migration().Env = append(o.migration().Env, corev1.EnvVar{Name: "DATABASE", Value: "x"})
	}, "participation does not know DATABASE"},
	{"environment", func(o *Objects) { o.setenv("gateway", "LOG_FORMAT", "text") }, "does not log as JSON"},
	{"environment", func(o *Objects) { o.setenv("gateway", "GOMEMLIMIT", "1GiB") }, "at least a tenth below"},
	{"environment", func(o *Objects) { o.setenv("gateway", "GOMEMLIMIT", "") }, "at least a tenth below"},
	{"environment", func(o *Objects) { delete(o.container("gateway").Resources.Requests, "cpu") }, "requests no CPU"},
	{"connections", func(o *Objects) {
		rules(o, "nats").Ingress[0].Ports[0].Port = new(intstr.FromString("clients"))
	}, "nats has no port clients"},
	{"connections", func(o *Objects) {
		rules(o, "nats").Ingress[0].From = rules(o, "nats").Ingress[0].From[:1]
	}, "gateway -> nats:4222: egress is allowed, ingress is not"},
	{"connections", func(o *Objects) {
		rules(o, "participation").Ingress = rules(o, "participation").Ingress[:1]
	}, "gateway -> participation:9080: egress is allowed, ingress is not"},
	{"connections", func(o *Objects) {
		rules(o, "gateway").Egress = nil
	}, "gateway -> nats:4222: ingress is allowed, egress is not"},
	{"connections", func(o *Objects) {
		rules(o, "gateway").PodSelector.MatchLabels["app.kubernetes.io/name"] = "gate"
	}, "policy gateway selects no pods"},
	{"connections", func(o *Objects) { rules(o, "gateway").Ingress[0].From = nil }, "policy gateway allows every peer"},
	{"connections", func(o *Objects) { rules(o, "gateway").Ingress[0].Ports = nil }, "policy gateway allows every port"},
	{"connections", func(o *Objects) {
		rules(o, "participation-relays").Egress[0].To[0].IPBlock.Except = nil
	}, "policy participation-relays allows every peer"},
	{"connections", func(o *Objects) {
		rules(o, "default-deny").PolicyTypes = nil
		rules(o, "nats").PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		rules(o, "dns").PodSelector.MatchLabels = map[string]string{"app.kubernetes.io/name": "gateway"}
	}, "nats: no policy isolates its Egress"},
	{"stop", func(o *Objects) { o.setenv("gateway", "GATEWAY_DRAIN_WINDOW", "30s") }, "must be at least 42s"},
	{"stop", func(o *Objects) { o.setenv("gateway", "GATEWAY_DRAIN_WINDOW", "soon") }, "GATEWAY_DRAIN_WINDOW"},
	{"stop", func(o *Objects) { *o.pod("participation").TerminationGracePeriodSeconds = 16 }, "must be at least 17s"},
	{"stop", func(o *Objects) { o.container("gateway").Lifecycle = nil }, "needs a preStop hook"},
}

func TestChecks_FindFaults(t *testing.T) {
	t.Parallel()
	text, checks := render(t, withGatewayAPI), checks(t)
	for _, fault := range faults {
		o := decode(t, text)
		fault.damage(o)
		err := checks[fault.check](o)
		if err == nil || !strings.Contains(err.Error(), fault.want) {
			t.Errorf("%s: got %v, want %s", fault.check, err, fault.want)
		}
	}
}

func TestRoutes_FindsFaultsOfIngress(t *testing.T) {
	t.Parallel()
	text := render(t, withIngress)
	for want, damage := range map[string]func(*Objects){
		"leads to participation-http: only the gateway": func(o *Objects) {
			o.Ingresses[0].Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "participation-http"
		},
		"no service gateway with port web": func(o *Objects) {
			o.Ingresses[0].Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Name = "web"
		},
	} {
		o := decode(t, text)
		damage(o)
		if err := Routes(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestCompareCompose_FindsFaults(t *testing.T) {
	t.Parallel()
	text := read(t, root+"/deploy/compose.yaml")
	for _, fault := range []struct{ from, to, want string }{
		{
			"image: rafflecast.local/gateway:dev", "image: rafflecast.local/gateway:v1",
			"gateway uses rafflecast.local/gateway:v1 in compose",
		},
		{"image: nats:2.12", "image: nats:2", "nats-1 uses nats:2 in compose"},
		{"9998:9998", "9998:9988", "no port 9988"},
		{"127.0.0.1:5432:5432", "5432:5432", "on more than the loopback address"},
		{"command: [migrate]", "command: [serve]", "the command is [serve]"},
		{"GATEWAY_DRAIN_WINDOW: 20s", "GATEWAY_DRAIN_WINDOW: 60s", `GATEWAY_DRAIN_WINDOW is "60s" in compose`},
		{"      GATEWAY_DRAIN_DELAY: 0s\n", "", `GATEWAY_DRAIN_DELAY is "" in compose`},
		{
			"GOMEMLIMIT: 160MiB", "GOMEMLIMIT: 160MiB\n      GATEWAY_CONFLATION_INTERVAL: 1s",
			`GATEWAY_CONFLATION_INTERVAL is "1s" in compose`,
		},
		{`STREAM_REPLICAS: "3"`, `STREAM_REPLICAS: "1"`, `STREAM_REPLICAS is "1"`},
		{"stop_grace_period: 35s", "stop_grace_period: 20s", "must be at least 27s"},
		{"mem_limit: 256m", "mem_limit: 512m", "memory limit is 536870912"},
		{"  migrate:\n    image", "  migration:\n    image", "migrate"},
		{"cap_drop: [ALL]", "cap_drops: [ALL]", "cap_drops"},
		{"source: nats,", "source: nat,", "nat"},
	} {
		err := compareCompose(t, replace(t, text, fault.from, fault.to))
		if err == nil || !strings.Contains(err.Error(), fault.want) {
			t.Errorf("%s: got %v, want %s", fault.to, err, fault.want)
		}
	}
}

// route returns the rule of the route that leads to the gateway.
func route(o *Objects) *gatewayv1.HTTPRouteRule {
	for _, r := range o.Routes {
		if r.Name == "rafflecast" {
			return &r.Spec.Rules[0]
		}
	}
	return nil
}

// rules returns the spec of a network policy.
func rules(o *Objects, name string) *networkingv1.NetworkPolicySpec {
	for _, p := range o.Policies {
		if p.Name == name {
			return &p.Spec
		}
	}
	return nil
}

func rolling(o *Objects, name string) *appsv1.RollingUpdateDeployment {
	return o.workload(name).Object.(*appsv1.Deployment).Spec.Strategy.RollingUpdate
}
