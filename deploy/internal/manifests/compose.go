package manifests

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// LoadCompose reads a compose file and checks it against the compose specification.
func LoadCompose(ctx context.Context, text []byte) (*types.Project, error) {
	return loader.LoadWithContext(ctx, types.ConfigDetails{
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: text}}, Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("rafflecast", true) })
}

// ownValues lists the variables that may have different values in compose and in the
// overlay: addresses of other services, and a path inside the PostgreSQL image.
var ownValues = []string{"NATS_URL", "PARTICIPATION_URL", "PGDATA"}

// CompareCompose checks that a compose file and an overlay run the same system: the
// same programs and images with the same arguments and settings, and that compose has
// the same memory limits, publishes only ports that exist, and gives containers enough
// time to stop. extra holds variables that compose may set in addition, with their
// values.
func CompareCompose(p *types.Project, o *Objects, programs map[string]Settings, extra map[string]string) error {
	var errs []error
	found := map[string]bool{}
	for name, s := range p.Services {
		w := o.workload(workloadOf(name))
		if w == nil {
			errs = append(errs, fmt.Errorf("compose runs %s, the overlay does not", name))
			continue
		}
		found[w.Name] = true
		c := containerOf(name, w)
		if s.Image != c.Image {
			errs = append(errs, fmt.Errorf("%s uses %s in compose, %s in the overlay", name, s.Image, c.Image))
		}
		errs = append(errs, comparePorts(name, s, w))
		if w.Name == "nats" {
			continue // compose runs a cluster, the overlay a single server
		}
		if !slices.Equal(s.Command, c.Args) {
			errs = append(errs, fmt.Errorf("%s: the command is %v in compose, %v in the overlay", name, s.Command, c.Args))
		}
		errs = append(errs, compareEnvironment(name, s, o.env(c), extra))
		if settings, ours := times[w.Name]; ours && c.Name == w.Name {
			errs = append(errs, compareLimits(name, s, c, programs[name], settings))
		}
	}
	for _, w := range o.Workloads {
		if !found[w.Name] {
			errs = append(errs, fmt.Errorf("the overlay runs %s, compose does not", w.Name))
		}
	}
	return errors.Join(errs...)
}

// workloadOf returns the name of the workload that corresponds to a compose service.
func workloadOf(service string) string {
	if service == "migrate" {
		return "participation"
	}
	if strings.HasPrefix(service, "nats-") {
		return "nats"
	}
	return service
}

// containerOf returns the container that corresponds to a compose service.
func containerOf(service string, w *Workload) *corev1.Container {
	for _, c := range w.Pod.Spec.InitContainers {
		if c.Name == service {
			return &c
		}
	}
	return &w.Pod.Spec.Containers[0]
}

func comparePorts(name string, s types.ServiceConfig, w *Workload) error {
	var errs []error
	for _, p := range s.Ports {
		if _, ok := w.port(intstr.FromInt(int(p.Target)), corev1.ProtocolTCP); !ok {
			errs = append(errs, fmt.Errorf("%s: the overlay has no port %d", name, p.Target))
		}
		if p.HostIP != "127.0.0.1" {
			errs = append(errs, fmt.Errorf("%s: port %d is published on more than the loopback address", name, p.Target))
		}
	}
	return errors.Join(errs...)
}

// environment returns the variables of a compose service that have a value.
func environment(s types.ServiceConfig) map[string]string {
	values := map[string]string{}
	for key, value := range s.Environment {
		if value != nil {
			values[key] = *value
		}
	}
	return values
}

func compareEnvironment(name string, s types.ServiceConfig, want, extra map[string]string) error {
	var errs []error
	got := environment(s)
	all := maps.Clone(got)
	maps.Copy(all, want)
	for key := range all {
		if slices.Contains(ownValues, key) {
			continue
		}
		a, inCompose := got[key]
		b, inOverlay := want[key]
		if !inOverlay {
			b, inOverlay = extra[key]
		}
		if !inCompose || !inOverlay || a != b {
			errs = append(errs, fmt.Errorf("%s: %s is %q in compose, %q in the overlay", name, key, a, b))
		}
	}
	return errors.Join(errs...)
}

func compareLimits(name string, s types.ServiceConfig, c *corev1.Container, known Settings, settings []string) error {
	var errs []error
	if limit := c.Resources.Limits.Memory().Value(); int64(s.MemLimit) != limit {
		errs = append(errs, fmt.Errorf("%s: the memory limit is %d in compose, %d in the overlay", name, s.MemLimit, limit))
	}
	d, err := stopTime(environment(s), known, settings)
	if err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	} else if need := d + rest + margin; s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < need {
		errs = append(errs, fmt.Errorf("%s: stop_grace_period must be at least %v", name, need))
	}
	return errors.Join(errs...)
}
