package manifests

import (
	"errors"
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Routes checks the way in: what it leads to is there; what carries streams has no
// bound on their time; entries go to participation, or to a gateway that forwards.
func Routes(o *Objects) error {
	var errs []error
	posted := false
	for _, r := range o.Routes {
		errs = append(errs, o.parents(r))
		for _, rule := range r.Spec.Rules {
			for _, b := range rule.BackendRefs {
				errs = append(errs, o.backend(r.Name, string(b.Name), *b.Port))
				if b.Name == "gateway" && (rule.Timeouts == nil || !zero(rule.Timeouts.Request) || !zero(rule.Timeouts.BackendRequest)) {
					errs = append(errs, fmt.Errorf("route %s: streams would be cut: timeouts must be 0s", r.Name))
				}
				posted = posted || (b.Name == "participation-http" && onlyPost(rule.Matches))
			}
		}
	}
	for _, i := range o.Ingresses {
		for _, rule := range i.Spec.Rules {
			for _, p := range rule.HTTP.Paths {
				errs = append(errs, o.backendNamed(i.Name, p.Backend.Service.Name, p.Backend.Service.Port.Name))
			}
		}
	}
	if w := o.workload("gateway"); w != nil {
		forwards := o.env(&w.Pod.Spec.Containers[0])["PARTICIPATION_URL"] != ""
		if posted == forwards {
			errs = append(errs, fmt.Errorf("entries: a route takes them: %t, the gateway forwards them: %t", posted, forwards))
		}
	}
	return errors.Join(errs...)
}

func zero(d *gatewayv1.Duration) bool { return d != nil && *d == "0s" }

func onlyPost(matches []gatewayv1.HTTPRouteMatch) bool {
	return len(matches) == 1 && matches[0].Method != nil && *matches[0].Method == gatewayv1.HTTPMethodPost
}

func (o *Objects) parents(r *gatewayv1.HTTPRoute) error {
	for _, p := range r.Spec.ParentRefs {
		for _, g := range o.Gateways {
			for _, l := range g.Spec.Listeners {
				if p.Name == gatewayv1.ObjectName(g.Name) && p.SectionName != nil && *p.SectionName == l.Name {
					return nil
				}
			}
		}
	}
	return fmt.Errorf("route %s: no listener is its parent", r.Name)
}

func (o *Objects) backend(route, name string, port int32) error {
	if s := o.service(name); s != nil {
		for _, p := range s.Spec.Ports {
			if p.Port == port {
				return nil
			}
		}
	}
	return fmt.Errorf("route %s: there is no service %s with port %d", route, name, port)
}

func (o *Objects) backendNamed(route, name, port string) error {
	if s := o.service(name); s != nil {
		for _, p := range s.Spec.Ports {
			if p.Name == port {
				return nil
			}
		}
	}
	return fmt.Errorf("ingress %s: there is no service %s with port %s", route, name, port)
}
