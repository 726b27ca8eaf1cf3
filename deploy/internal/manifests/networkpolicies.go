package manifests

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Arrows returns who may speak to whom by the network policies, as "from -> to:port",
// sorted. It fails where a workload is not confined in both directions, a policy
// names a port that its target does not have, or one end of an arrow between two
// workloads forbids what the other end allows.
func Arrows(o *Objects) ([]string, error) {
	n := network{objects: o, out: map[string]bool{}, in: map[string]bool{}, confined: map[string]bool{}}
	for _, p := range o.Policies {
		n.policy(p)
	}
	for _, w := range o.Workloads {
		for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
			if !n.confined[w.Name+string(direction)] {
				n.fail("%s: no policy confines its %s", w.Name, direction)
			}
		}
	}
	for arrow := range n.out {
		if n.inside(arrow) && !n.in[arrow] {
			n.fail("%s may be sent, and is not taken", arrow)
		}
	}
	for arrow := range n.in {
		if n.inside(arrow) && !n.out[arrow] {
			n.fail("%s would be taken, and may not be sent", arrow)
		}
	}
	maps.Copy(n.out, n.in)
	return slices.Sorted(maps.Keys(n.out)), errors.Join(n.errs...)
}

// network is what policies allow, as it is gathered.
type network struct {
	objects  *Objects
	out, in  map[string]bool // arrows that may be sent, and that are taken
	confined map[string]bool // workload and direction
	errs     []error
}

func (n *network) fail(format string, args ...any) {
	n.errs = append(n.errs, fmt.Errorf(format, args...))
}

// inside tells whether both ends of an arrow are workloads of ours.
func (n *network) inside(arrow string) bool {
	from, to, _ := strings.Cut(arrow, " -> ")
	to, _, _ = strings.Cut(to, ":")
	return n.objects.workload(from) != nil && n.objects.workload(to) != nil
}

func (n *network) policy(p *networkingv1.NetworkPolicy) {
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
			n.confined[w.Name+string(direction)] = true
		}
		for _, rule := range p.Spec.Ingress {
			for _, from := range n.peers(p, rule.From) {
				for _, port := range n.ports(p, rule.Ports, w) {
					n.in[from.name+" -> "+w.Name+":"+port] = true
				}
			}
		}
		for _, rule := range p.Spec.Egress {
			for _, to := range n.peers(p, rule.To) {
				for _, port := range n.ports(p, rule.Ports, to.workload) {
					n.out[w.Name+" -> "+to.name+":"+port] = true
				}
			}
		}
	}
}

// peer is the other end of a rule: a workload, or what a selector says of others.
type peer struct {
	name     string
	workload *Workload
}

func (n *network) peers(p *networkingv1.NetworkPolicy, of []networkingv1.NetworkPolicyPeer) (peers []peer) {
	if len(of) == 0 {
		n.fail("policy %s allows everybody", p.Name)
	}
	for _, one := range of {
		var parts []string
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

// ports returns the numbers of a rule's ports, which w must have, if it is ours.
func (n *network) ports(p *networkingv1.NetworkPolicy, of []networkingv1.NetworkPolicyPort, w *Workload) (numbers []string) {
	if len(of) == 0 {
		n.fail("policy %s allows all ports", p.Name)
	}
	for _, one := range of {
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
			n.fail("policy %s: port %s has no number", p.Name, text)
		}
		if protocol != corev1.ProtocolTCP {
			text += "/" + string(protocol)
		}
		numbers = append(numbers, text)
	}
	return numbers
}
