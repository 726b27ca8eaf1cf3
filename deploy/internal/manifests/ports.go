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

// port returns the port of a pod that is meant by a name or number, and
// whether there is one.
func (w *Workload) port(port intstr.IntOrString, protocol corev1.Protocol) (number int32, ok bool) {
	for _, c := range w.Pod.Spec.Containers {
		for _, p := range c.Ports {
			meant := p.ContainerPort == port.IntVal
			if port.Type == intstr.String {
				meant = p.Name == port.StrVal
			}
			if meant && protocol == cmp.Or(p.Protocol, corev1.ProtocolTCP) {
				return p.ContainerPort, true
			}
		}
	}
	return 0, false
}

// Ports checks that what is said of ports leads to ports that containers have: by
// services, probes, and the addresses on which our programs are told to listen.
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
		case p == nil && w.Kind == "Job":
			continue
		case p == nil:
			errs = append(errs, fmt.Errorf("%s lacks a probe: startup, readiness and liveness are wanted", w.Name))
			continue
		case p.HTTPGet != nil:
			port = p.HTTPGet.Port
		case p.TCPSocket != nil:
			port = p.TCPSocket.Port
		default:
			continue
		}
		if _, ok := w.port(port, corev1.ProtocolTCP); !ok {
			errs = append(errs, fmt.Errorf("a probe of %s: there is no port %s", w.Name, port.String()))
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
			errs = append(errs, fmt.Errorf("%s: %s=%s, and there is no such port", w.Name, name, value))
		}
	}
	return errors.Join(errs...)
}

// Selectors checks that each object that selects pods selects those that it means.
func Selectors(o *Objects) error {
	var errs []error
	matches := func(what string, selector *metav1.LabelSelector, w *Workload) {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !s.Matches(labels.Set(w.Pod.Labels)) {
			errs = append(errs, fmt.Errorf("%s of %s does not select its pods", what, w.Name))
		}
	}
	for _, w := range o.Workloads {
		if w.Kind != "Job" {
			matches("the selector", w.Selector, w)
		}
		for _, c := range w.Pod.Spec.TopologySpreadConstraints {
			matches("the spread over "+c.TopologyKey, c.LabelSelector, w)
			// In an update, the old pods would count too, and all new ones might share a node.
			if w.Kind == "Deployment" && !slices.Contains(c.MatchLabelKeys, "pod-template-hash") {
				errs = append(errs, fmt.Errorf("the spread of %s over %s counts old pods", w.Name, c.TopologyKey))
			}
		}
		if w.Pod.Labels["app.kubernetes.io/name"] != w.Name || w.Pod.Labels["app.kubernetes.io/part-of"] != "rafflecast" {
			errs = append(errs, fmt.Errorf("the labels of %s's pods are %v", w.Name, w.Pod.Labels))
		}
	}
	return errors.Join(errs...)
}
