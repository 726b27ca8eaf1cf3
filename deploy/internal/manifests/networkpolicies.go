package manifests

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// AllowedConnections returns the connections that the network policies allow, as
// "from -> to:port", sorted. It returns an error if a workload is not isolated in
// both directions, if a policy selects no pods, allows every peer or every port, or
// names a port that its target does not have, and if only one of two workloads allows
// a connection between them.
func AllowedConnections(o *Objects) ([]string, error) {
	n := network{objects: o, egress: map[connection]bool{}, ingress: map[connection]bool{}, isolated: map[isolation]bool{}}
	for _, p := range o.Policies {
		n.add(p)
	}
	for _, w := range o.Workloads {
		for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
			if !n.isolated[isolation{w.Name, direction}] {
				n.fail("%s: no policy isolates its %s", w.Name, direction)
			}
		}
	}
	var allowed []string
	for c := range n.egress {
		if n.internal(c) && !n.ingress[c] {
			n.fail("%s: egress is allowed, ingress is not", c)
		}
		allowed = append(allowed, c.String())
	}
	for c := range n.ingress {
		if n.internal(c) && !n.egress[c] {
			n.fail("%s: ingress is allowed, egress is not", c)
		}
		allowed = append(allowed, c.String())
	}
	slices.Sort(allowed)
	return slices.Compact(allowed), errors.Join(n.errs...)
}

// connection is one that policies allow. from and to are names of workloads, or
// selectors of pods outside the overlay, or blocks of addresses.
type connection struct{ from, to, port string }

func (c connection) String() string { return c.from + " -> " + c.to + ":" + c.port }

// isolation says in which direction a workload is isolated: it may then use only the
// connections that policies allow.
type isolation struct {
	workload  string
	direction networkingv1.PolicyType
}

// network collects what the policies allow.
type network struct {
	objects         *Objects
	egress, ingress map[connection]bool // what the sender's policies allow, and the receiver's
	isolated        map[isolation]bool
	errs            []error
}

func (n *network) fail(format string, args ...any) {
	n.errs = append(n.errs, fmt.Errorf(format, args...))
}

// internal reports whether both ends of c are workloads of the overlay.
func (n *network) internal(c connection) bool {
	return n.objects.workload(c.from) != nil && n.objects.workload(c.to) != nil
}

func (n *network) add(p *networkingv1.NetworkPolicy) {
	selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
	if err != nil {
		n.fail("policy %s: %w", p.Name, err)
		return
	}
	targets := n.objects.selected(selector)
	if len(targets) == 0 {
		n.fail("policy %s selects no pods", p.Name)
	}
	for _, w := range targets {
		for _, direction := range p.Spec.PolicyTypes {
			n.isolated[isolation{w.Name, direction}] = true
		}
		for _, rule := range p.Spec.Ingress {
			for _, from := range n.peers(p, rule.From) {
				for _, port := range n.ports(p, rule.Ports, w) {
					n.ingress[connection{from.name, w.Name, port}] = true
				}
			}
		}
		for _, rule := range p.Spec.Egress {
			for _, to := range n.peers(p, rule.To) {
				for _, port := range n.ports(p, rule.Ports, to.workload) {
					n.egress[connection{w.Name, to.name, port}] = true
				}
			}
		}
	}
}

// peer is the other end of a rule: a workload of the overlay, or what is outside it,
// which is named by its selectors or its block of addresses.
type peer struct {
	name     string
	workload *Workload // nil for what is outside
}

func (n *network) peers(p *networkingv1.NetworkPolicy, listed []networkingv1.NetworkPolicyPeer) []peer {
	var peers []peer
	if len(listed) == 0 {
		n.fail("policy %s allows every peer", p.Name)
	}
	for _, one := range listed {
		var parts []string
		if block := one.IPBlock; block != nil {
			if strings.HasSuffix(block.CIDR, "/0") && len(block.Except) == 0 {
				n.fail("policy %s allows every peer", p.Name)
			}
			parts = append(parts, block.CIDR+" except "+strings.Join(block.Except, " "))
		}
		if one.NamespaceSelector != nil {
			parts = append(parts, "namespace "+metav1.FormatLabelSelector(one.NamespaceSelector))
		}
		if one.PodSelector != nil {
			selector, err := metav1.LabelSelectorAsSelector(one.PodSelector)
			if err != nil {
				n.fail("policy %s: %w", p.Name, err)
				continue
			}
			if found := n.objects.selected(selector); one.NamespaceSelector == nil && len(found) > 0 {
				for _, w := range found {
					peers = append(peers, peer{w.Name, w})
				}
				continue
			}
			parts = append(parts, "pods "+metav1.FormatLabelSelector(one.PodSelector))
		}
		peers = append(peers, peer{name: strings.Join(parts, " ")})
	}
	return peers
}

// ports returns the numbers of a rule's ports. If w is not nil, it must have them.
func (n *network) ports(p *networkingv1.NetworkPolicy, listed []networkingv1.NetworkPolicyPort, w *Workload) []string {
	var numbers []string
	if len(listed) == 0 {
		n.fail("policy %s allows every port", p.Name)
	}
	for _, one := range listed {
		protocol, port := corev1.ProtocolTCP, intstr.IntOrString{}
		if one.Protocol != nil {
			protocol = *one.Protocol
		}
		if one.Port != nil {
			port = *one.Port
		}
		text := port.String()
		if w != nil {
			number, ok := w.port(port, protocol)
			if !ok {
				n.fail("policy %s: %s has no port %s", p.Name, w.Name, text)
			}
			text = fmt.Sprint(number)
		} else if port.StrVal != "" {
			n.fail("policy %s: port %s needs a number, since its pods are outside the overlay", p.Name, text)
		}
		if protocol != corev1.ProtocolTCP {
			text += "/" + string(protocol)
		}
		numbers = append(numbers, text)
	}
	return numbers
}
