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

func TestWhatIsNotWellFormedIsRefused(t *testing.T) {
	t.Parallel()
	text := render(t, prod)
	for _, broken := range []struct{ from, to, want string }{
		{"terminationGracePeriodSeconds: 40", "terminationGracePeriod: 40", `unknown field "spec.template.spec.terminationGracePeriod"`},
		{"terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: 40\n      terminationGracePeriodSeconds: 50", "already set"},
		{"terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: soon", "cannot unmarshal string"},
		{"apiVersion: policy/v1\n", "apiVersion: policy/v1beta1\n", "policy/v1beta1, Kind=PodDisruptionBudget is not served"},
		{"kind: HTTPRoute", "kind: HTTPRout", "no kind"},
		{"backendRequest: 0s", "backend: 0s", `unknown field "spec.rules[1].timeouts.backend"`},
		{"kind: NetworkPolicy", "kind: NetworkPolicies", "no kind"},
	} {
		_, err := Decode([]byte(replace(t, text, broken.from, broken.to)))
		if err == nil || !strings.Contains(err.Error(), broken.want) {
			t.Errorf("%s: got %v, want %s", broken.to, err, broken.want)
		}
	}
}

// pod returns the pods of a workload.
func (o *Objects) pod(name string) *corev1.PodSpec { return &o.workload(name).Pod.Spec }

func (o *Objects) container(name string) *corev1.Container { return &o.pod(name).Containers[0] }

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

// faults are what each check must find, in a production that is well otherwise.
var faults = []struct {
	check  string
	damage func(*Objects)
	want   string
}{
	{"ports", func(o *Objects) { o.service("gateway").Spec.Ports[0].TargetPort = intstr.FromString("web") }, "gateway has no port web"},
	{"ports", func(o *Objects) { o.service("gateway").Spec.Selector["app.kubernetes.io/name"] = "gate" }, "selects no pods"},
	{"ports", func(o *Objects) { o.service("gateway").Spec.Selector = nil }, "selects no pods"},
	{"ports", func(o *Objects) { o.container("gateway").LivenessProbe.HTTPGet.Port = intstr.FromInt(9998 + 2) }, "no port 10000"},
	{"ports", func(o *Objects) { o.container("nats").StartupProbe = nil }, "nats lacks a probe"},
	{"ports", func(o *Objects) { o.setenv("participation", "PARTICIPATION_GRPC_ADDRESS", ":9099") }, "GRPC_ADDRESS=:9099, and there is no such port"},
	{"ports", func(o *Objects) {
		o.container("gateway").Ports[0].Name = ""
		o.service("gateway").Spec.Ports[0].TargetPort = intstr.FromInt(9997)
	}, "gateway has no port 9997"},
	{"selectors", func(o *Objects) { o.workload("nats").Selector.MatchLabels["app.kubernetes.io/name"] = "mats" }, "selector of nats"},
	{"selectors", func(o *Objects) { o.pod("gateway").TopologySpreadConstraints[1].LabelSelector.MatchLabels = nil }, "spread over"},
	{"selectors", func(o *Objects) { o.pod("participation").TopologySpreadConstraints[0].MatchLabelKeys = nil }, "counts old pods"},
	{"selectors", func(o *Objects) { delete(o.workload("participation-migrate").Pod.Labels, "app.kubernetes.io/part-of") }, "labels of participation-migrate"},
	{"routes", func(o *Objects) { route(o, 1).Timeouts.Request = new(gatewayv1.Duration("30s")) }, "streams would be cut"},
	{"routes", func(o *Objects) { route(o, 1).Timeouts = nil }, "streams would be cut"},
	{"routes", func(o *Objects) { route(o, 0).BackendRefs[0].Name = "participation" }, "no service participation with port 9080"},
	{"routes", func(o *Objects) { route(o, 0).Matches[0].Method = nil }, "a route takes them: false"},
	{"routes", func(o *Objects) { o.setenv("gateway", "PARTICIPATION_URL", "http://participation-http:9080") }, "the gateway forwards them: true"},
	{"routes", func(o *Objects) { o.Gateways[0].Spec.Listeners[0].Name = "tls" }, "no listener"},
	{"budgets", func(o *Objects) { o.Budgets[0].Spec.Selector.MatchLabels["app.kubernetes.io/name"] = "none" }, "is of 0 workloads"},
	{"budgets", func(o *Objects) { o.Budgets[0].Spec.MaxUnavailable = new(intstr.FromInt(0)) }, "lets 0 of 3"},
	{"budgets", func(o *Objects) { o.Budgets[0].Spec.MaxUnavailable = new(intstr.FromString("100%")) }, "lets 3 of 3"},
	{"budgets", func(o *Objects) {
		o.Budgets[0].Spec.MaxUnavailable, o.Budgets[0].Spec.MinAvailable = nil, new(intstr.FromInt(3))
	}, "lets 0 of 3"},
	{"budgets", func(o *Objects) { o.Budgets = o.Budgets[1:] }, "has no budget"},
	{"budgets", func(o *Objects) { o.Autoscalers[0].Spec.ScaleTargetRef.Name = "gateways" }, "no Deployment gateways"},
	{"budgets", func(o *Objects) { o.workload("gateway").Replicas = new(int32(2)) }, "which is autoscaler gateway's"},
	{"budgets", func(o *Objects) { rolling(o, "gateway").MaxUnavailable = new(intstr.FromInt(1)) }, "before another is there"},
	{"security", func(o *Objects) { o.Namespaces[0].Labels = nil }, "does not enforce"},
	{"security", func(o *Objects) { o.container("nats").SecurityContext.Capabilities = nil }, "capabilities"},
	{"security", func(o *Objects) { o.pod("gateway").SecurityContext.RunAsNonRoot = nil }, "runAsNonRoot"},
	{"security", func(o *Objects) { o.pod("gateway").SecurityContext.SeccompProfile = nil }, "seccompProfile"},
	{"security", func(o *Objects) { o.container("gateway").SecurityContext.AllowPrivilegeEscalation = nil }, "allowPrivilegeEscalation"},
	{"security", func(o *Objects) { o.container("gateway").SecurityContext.ReadOnlyRootFilesystem = nil }, "can be written to"},
	{"security", func(o *Objects) { o.pod("gateway").AutomountServiceAccountToken = nil }, "get a token"},
	{"security", func(o *Objects) { o.pod("gateway").ServiceAccountName = "admin" }, "an account that is not there"},
	{"references", func(o *Objects) { o.pod("nats").Volumes[0].ConfigMap.Name = "nats" }, "wants the config map nats"},
	{"references", func(o *Objects) { o.pod("nats").Volumes = o.pod("nats").Volumes[1:] }, "has no volume"},
	{"references", func(o *Objects) { o.container("gateway").VolumeMounts = nil }, "does not mount its volume nats-ca"},
	{"references", func(o *Objects) { o.pod("gateway").Volumes[0].Secret.Items[0].Key = "ca.pem" }, "nobody speaks of: nats-tls/ca.pem"},
	{"references", func(o *Objects) { o.Services = nil }, "has no headless service nats"},
	{"environment", func(o *Objects) { o.setenv("gateway", "GATEWAY_DRAIN", "1s") }, "gateway does not know GATEWAY_DRAIN"},
	{"environment", func(o *Objects) { o.setenv("participation-migrate", "DATABASE", "x") }, "participation does not know DATABASE"},
	{"environment", func(o *Objects) { o.setenv("gateway", "LOG_FORMAT", "text") }, "does not log as JSON"},
	{"environment", func(o *Objects) { o.setenv("gateway", "GOMEMLIMIT", "1GiB") }, "not a tenth below"},
	{"environment", func(o *Objects) { o.setenv("gateway", "GOMEMLIMIT", "") }, "not a tenth below"},
	{"environment", func(o *Objects) { delete(o.container("gateway").Resources.Requests, "cpu") }, "requests no CPU"},
	{"arrows", func(o *Objects) { rules(o, "nats").Ingress[0].Ports[0].Port = new(intstr.FromString("clients")) }, "nats has no port clients"},
	{"arrows", func(o *Objects) { rules(o, "nats").Ingress[0].From = rules(o, "nats").Ingress[0].From[:1] }, "gateway -> nats:4222 may be sent, and is not taken"},
	{"arrows", func(o *Objects) { rules(o, "gateway").Egress = nil }, "gateway -> nats:4222 would be taken, and may not be sent"},
	{"arrows", func(o *Objects) { rules(o, "gateway").PodSelector.MatchLabels["app.kubernetes.io/name"] = "gate" }, "policy gateway selects no pods"},
	{"arrows", func(o *Objects) { rules(o, "gateway").Ingress[0].From = nil }, "policy gateway allows everybody"},
	{"arrows", func(o *Objects) { rules(o, "gateway").Ingress[0].Ports = nil }, "policy gateway allows all ports"},
	{"arrows", func(o *Objects) {
		rules(o, "nothing-else").PolicyTypes = nil
		rules(o, "nats").PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		rules(o, "names").PodSelector.MatchLabels = map[string]string{"app.kubernetes.io/name": "gateway"}
	}, "nats: no policy confines its Egress"},
	{"stop", func(o *Objects) { o.setenv("gateway", "GATEWAY_DRAIN_WINDOW", "30s") }, "must be at least 42s"},
	{"stop", func(o *Objects) { o.setenv("gateway", "GATEWAY_DRAIN_WINDOW", "soon") }, "GATEWAY_DRAIN_WINDOW"},
	{"stop", func(o *Objects) { *o.pod("participation").TerminationGracePeriodSeconds = 16 }, "must be at least 17s"},
	{"stop", func(o *Objects) { o.container("gateway").Lifecycle = nil }, "no preStop"},
}

func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	text, checks := render(t, prod), checks(t)
	for _, fault := range faults {
		o := decode(t, text)
		fault.damage(o)
		err := checks[fault.check](o)
		if err == nil || !strings.Contains(err.Error(), fault.want) {
			t.Errorf("%s: got %v, want %s", fault.check, err, fault.want)
		}
	}
}

func TestFaultsOfTheIngressAreFound(t *testing.T) {
	t.Parallel()
	text := render(t, withIngress)
	for want, damage := range map[string]func(*Objects){
		"no service gate with port http": func(o *Objects) { o.Ingresses[0].Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "gate" },
		"no service gateway with port web": func(o *Objects) {
			o.Ingresses[0].Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Name = "web"
		},
		"the gateway forwards them: false": func(o *Objects) { o.setenv("gateway", "PARTICIPATION_URL", "") },
	} {
		o := decode(t, text)
		damage(o)
		if err := Routes(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	o := decode(t, text)
	rules(o, "participation-takes-entries").Ingress = nil
	if _, err := Arrows(o); err == nil || !strings.Contains(err.Error(), "gateway -> participation:9080 may be sent, and is not taken") {
		t.Errorf("got %v", err)
	}
}

func TestFaultsOfTheComposeFileAreFound(t *testing.T) {
	t.Parallel()
	text := read(t, root+"/deploy/compose.yaml")
	for _, fault := range []struct{ from, to, want string }{
		{"image: rafflecast.local/gateway:dev", "image: rafflecast.local/gateway:v1", "gateway is rafflecast.local/gateway:v1 in compose"},
		{"image: nats:2.12", "image: nats:2", "nats-1 is nats:2 in compose"},
		{"9998:9998", "9998:9988", "no port 9988"},
		{"127.0.0.1:5432:5432", "5432:5432", "open to the world"},
		{"command: [migrate]", "command: [serve]", "the command is [serve]"},
		{"GATEWAY_DRAIN_WINDOW: 20s", "GATEWAY_DRAIN_WINDOW: 60s", `GATEWAY_DRAIN_WINDOW is "60s" in compose`},
		{"      GATEWAY_DRAIN_DELAY: 0s\n", "", `GATEWAY_DRAIN_DELAY is "" in compose`},
		{"GOMEMLIMIT: 160MiB", "GOMEMLIMIT: 160MiB\n      GATEWAY_CONFLATION_INTERVAL: 1s", `GATEWAY_CONFLATION_INTERVAL is "1s" in compose`},
		{`STREAM_REPLICAS: "3"`, `STREAM_REPLICAS: "1"`, `STREAM_REPLICAS is "1"`},
		{"stop_grace_period: 35s", "stop_grace_period: 20s", "must be at least 27s"},
		{"mem_limit: 256m", "mem_limit: 512m", "memory limit is 536870912"},
		{"  migrate:\n    image", "  migration:\n    image", "migrate"},
		{"cap_drop: [ALL]", "cap_drops: [ALL]", "cap_drops"},
		{"source: nats,", "source: nat,", "nat"},
	} {
		err := agreement(t, replace(t, text, fault.from, fault.to))
		if err == nil || !strings.Contains(err.Error(), fault.want) {
			t.Errorf("%s: got %v, want %s", fault.to, err, fault.want)
		}
	}
}

// route returns a rule of the route that leads to the services.
func route(o *Objects, rule int) *gatewayv1.HTTPRouteRule {
	for _, r := range o.Routes {
		if r.Name == "rafflecast" {
			return &r.Spec.Rules[rule]
		}
	}
	return nil
}

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
