package manifests

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Objects holds all objects of one rendered overlay, by kind.
type Objects struct {
	Workloads   []*Workload
	Services    []*corev1.Service
	Accounts    []*corev1.ServiceAccount
	Secrets     []*corev1.Secret
	ConfigMaps  []*corev1.ConfigMap
	Policies    []*networkingv1.NetworkPolicy
	Ingresses   []*networkingv1.Ingress
	Budgets     []*policyv1.PodDisruptionBudget
	Autoscalers []*autoscalingv2.HorizontalPodAutoscaler
	Gateways    []*gatewayv1.Gateway
	Routes      []*gatewayv1.HTTPRoute
	Namespaces  []*corev1.Namespace
}

// Workload is an object that runs pods: a Deployment or a StatefulSet.
type Workload struct {
	Kind, Name string
	Replicas   *int32 // nil if not set
	Selector   *metav1.LabelSelector
	Pod        *corev1.PodTemplateSpec
	Object     any
}

// containers returns the containers of a pod, those that run before the others first.
func (w *Workload) containers() []*corev1.Container {
	var all []*corev1.Container
	for _, list := range [][]corev1.Container{w.Pod.Spec.InitContainers, w.Pod.Spec.Containers} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return all
}

// add files an object under its kind. It returns false if no check covers that kind.
func (o *Objects) add(object any) bool {
	switch v := object.(type) {
	case *appsv1.Deployment:
		o.addWorkload("Deployment", v.Name, v.Spec.Replicas, v.Spec.Selector, &v.Spec.Template, v)
	case *appsv1.StatefulSet:
		o.addWorkload("StatefulSet", v.Name, v.Spec.Replicas, v.Spec.Selector, &v.Spec.Template, v)
	case *corev1.Service:
		o.Services = append(o.Services, v)
	case *corev1.ServiceAccount:
		o.Accounts = append(o.Accounts, v)
	case *corev1.Secret:
		o.Secrets = append(o.Secrets, v)
	case *corev1.ConfigMap:
		o.ConfigMaps = append(o.ConfigMaps, v)
	case *corev1.Namespace:
		o.Namespaces = append(o.Namespaces, v)
	case *networkingv1.NetworkPolicy:
		o.Policies = append(o.Policies, v)
	case *networkingv1.Ingress:
		o.Ingresses = append(o.Ingresses, v)
	case *policyv1.PodDisruptionBudget:
		o.Budgets = append(o.Budgets, v)
	case *autoscalingv2.HorizontalPodAutoscaler:
		o.Autoscalers = append(o.Autoscalers, v)
	case *gatewayv1.Gateway:
		o.Gateways = append(o.Gateways, v)
	case *gatewayv1.HTTPRoute:
		o.Routes = append(o.Routes, v)
	default:
		return false
	}
	return true
}

func (o *Objects) addWorkload(
	kind, name string, replicas *int32, selector *metav1.LabelSelector, pod *corev1.PodTemplateSpec, object any,
) {
	o.Workloads = append(o.Workloads, &Workload{kind, name, replicas, selector, pod, object})
}

// selected returns the workloads whose pods match a selector.
func (o *Objects) selected(selector labels.Selector) (found []*Workload) {
	for _, w := range o.Workloads {
		if selector.Matches(labels.Set(w.Pod.Labels)) {
			found = append(found, w)
		}
	}
	return found
}

func (o *Objects) workload(name string) *Workload {
	for _, w := range o.Workloads {
		if w.Name == name {
			return w
		}
	}
	return nil
}

func (o *Objects) service(name string) *corev1.Service {
	for _, s := range o.Services {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// env returns the environment variables of a container. A variable that comes from a
// secret has the value in the overlay's own secrets, or "" if it is not in them.
func (o *Objects) env(c *corev1.Container) map[string]string {
	values := make(map[string]string)
	for _, e := range c.Env {
		values[e.Name] = e.Value
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			for _, s := range o.Secrets {
				if s.Name == e.ValueFrom.SecretKeyRef.Name {
					values[e.Name] = s.StringData[e.ValueFrom.SecretKeyRef.Key]
				}
			}
		}
	}
	return values
}
