package manifests

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Routes checks the way from outside into the cluster. Every route leads to the
// gateway without a limit on a request's duration, which would cut streams. No route
// leads to participation, whose HTTP port also serves the operators' calls: the
// gateway forwards to it what browsers need.
func Routes(o *Objects) error {
	var errs []error
	for _, r := range o.Routes {
		errs = append(errs, o.parents(r))
		for _, rule := range r.Spec.Rules {
			for _, b := range rule.BackendRefs {
				errs = append(errs, o.backend("route "+r.Name, string(b.Name), networkingv1.ServiceBackendPort{Number: *b.Port}))
				if rule.Timeouts == nil || !zero(rule.Timeouts.Request) || !zero(rule.Timeouts.BackendRequest) {
					errs = append(errs, fmt.Errorf("route %s would cut streams: its timeouts must be 0s", r.Name))
				}
			}
		}
	}
	for _, i := range o.Ingresses {
		for _, rule := range i.Spec.Rules {
			for _, p := range rule.HTTP.Paths {
				errs = append(errs, o.backend("ingress "+i.Name, p.Backend.Service.Name, p.Backend.Service.Port))
			}
		}
	}
	return errors.Join(append(errs, o.forwarding())...)
}

func zero(d *gatewayv1.Duration) bool { return d != nil && *d == "0s" }

// parents checks that a route belongs to a listener that exists.
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
	return fmt.Errorf("route %s: its listener does not exist", r.Name)
}

// backend checks that a route leads to the gateway, and to a port that exists.
func (o *Objects) backend(route, service string, port networkingv1.ServiceBackendPort) error {
	if service != "gateway" {
		return fmt.Errorf("%s leads to %s: only the gateway may be reached from outside", route, service)
	}
	return o.servicePort(route, service, port)
}

func (o *Objects) servicePort(user, service string, port networkingv1.ServiceBackendPort) error {
	if s := o.service(service); s != nil {
		for _, p := range s.Spec.Ports {
			if p.Port == port.Number || (port.Name != "" && p.Name == port.Name) {
				return nil
			}
		}
	}
	return fmt.Errorf("%s: there is no service %s with port %s", user, service, portText(port))
}

func portText(p networkingv1.ServiceBackendPort) string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(int(p.Number))
}

// forwarding checks that the gateway forwards entries to a service that exists.
func (o *Objects) forwarding() error {
	w := o.workload("gateway")
	if w == nil {
		return nil
	}
	target, err := url.Parse(o.env(&w.Pod.Spec.Containers[0])["PARTICIPATION_URL"])
	if err != nil || target.Host == "" {
		return errors.New("the gateway does not forward entries: PARTICIPATION_URL is not set to a URL")
	}
	number, err := strconv.ParseInt(target.Port(), 10, 32)
	if err != nil {
		return fmt.Errorf("PARTICIPATION_URL has no port: %w", err)
	}
	return o.servicePort("PARTICIPATION_URL", target.Hostname(), networkingv1.ServiceBackendPort{Number: int32(number)})
}
