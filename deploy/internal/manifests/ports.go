package manifests

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// port returns the number of the container port with the given name or number, and
// reports whether there is one.
func (w *Workload) port(port intstr.IntOrString, protocol corev1.Protocol) (number int32, ok bool) {
	for _, c := range w.Pod.Spec.Containers {
		for _, p := range c.Ports {
			found := p.ContainerPort == port.IntVal
			if port.Type == intstr.String {
				found = p.Name == port.StrVal
			}
			if found && protocol == cmp.Or(p.Protocol, corev1.ProtocolTCP) {
				return p.ContainerPort, true
			}
		}
	}
	return 0, false
}

// Ports checks that every port that is referred to is a port of a container: the
// target ports of services, the ports of probes, and the addresses on which our
// programs listen.
func Ports(o *Objects) error {
	var errs []error
	for _, s := range o.Services {
		pods := o.selected(labels.SelectorFromSet(s.Spec.Selector))
		if len(s.Spec.Selector) == 0 || len(pods) == 0 {
			errs = append(errs, fmt.Errorf("service %s selects no pods", s.Name))
		}
		for _, p := range s.Spec.Ports {
			for _, w := range pods {
				if _, ok := w.port(p.TargetPort, corev1.ProtocolTCP); !ok {
					errs = append(errs, fmt.Errorf("service %s: %s has no port %s", s.Name, w.Name, p.TargetPort.String()))
				}
			}
		}
	}
	for _, w := range o.Workloads {
		for i := range w.Pod.Spec.Containers {
			errs = append(errs, w.probes(&w.Pod.Spec.Containers[i]), o.addresses(w, &w.Pod.Spec.Containers[i]))
		}
	}
	return errors.Join(errs...)
}

func (w *Workload) probes(c *corev1.Container) error {
	var errs []error
	for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		var port intstr.IntOrString
		switch {
		case p == nil:
			errs = append(errs, fmt.Errorf("%s lacks a probe: it needs startup, readiness and liveness", w.Name))
			continue
		case p.HTTPGet != nil:
			port = p.HTTPGet.Port
		case p.TCPSocket != nil:
			port = p.TCPSocket.Port
		default:
			continue
		}
		if _, ok := w.port(port, corev1.ProtocolTCP); !ok {
			errs = append(errs, fmt.Errorf("a probe of %s uses port %s, which does not exist", w.Name, port.String()))
		}
	}
	return errors.Join(errs...)
}

func (o *Objects) addresses(w *Workload, c *corev1.Container) error {
	var errs []error
	for name, value := range o.env(c) {
		if !strings.HasSuffix(name, "_ADDRESS") {
			continue
		}
		port := strings.TrimPrefix(value, ":")
		if _, ok := w.port(intstr.Parse(port), corev1.ProtocolTCP); !ok {
			errs = append(errs, fmt.Errorf("%s: %s=%s, but the container has no such port", w.Name, name, value))
		}
	}
	return errors.Join(errs...)
}

// Selectors checks that the selector and the topology spread constraints of each
// workload select its own pods, and that pods have the common labels.
func Selectors(o *Objects) error {
	var errs []error
	matches := func(what string, selector *metav1.LabelSelector, w *Workload) {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !s.Matches(labels.Set(w.Pod.Labels)) {
			errs = append(errs, fmt.Errorf("%s of %s does not select its pods", what, w.Name))
		}
	}
	for _, w := range o.Workloads {
		matches("the selector", w.Selector, w)
		for _, c := range w.Pod.Spec.TopologySpreadConstraints {
			matches("the spread over "+c.TopologyKey, c.LabelSelector, w)
			// Without it old pods count during an update, and all new ones may share a node.
			if w.Kind == "Deployment" && !slices.Contains(c.MatchLabelKeys, "pod-template-hash") {
				errs = append(errs, fmt.Errorf("the spread of %s over %s counts pods of the old version", w.Name, c.TopologyKey))
			}
		}
		errs = append(errs, recommended(w))
	}
	return errors.Join(errs...)
}

// recommended checks the labels that Kubernetes recommends.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
func recommended(w *Workload) error {
	want := map[string]string{"name": w.Name, "part-of": "rafflecast", "instance": "rafflecast"}
	if image := w.Pod.Spec.Containers[0].Image; w.Kind == "Deployment" { // the others are not ours
		want["version"] = image[strings.LastIndex(image, ":")+1:]
	}
	for name, value := range want {
		if got := w.Pod.Labels["app.kubernetes.io/"+name]; got != value {
			return fmt.Errorf("the label %s of %s's pods is %q, want %q", name, w.Name, got, value)
		}
	}
	if w.Pod.Labels["app.kubernetes.io/component"] == "" {
		return fmt.Errorf("the pods of %s have no label component", w.Name)
	}
	return nil
}
