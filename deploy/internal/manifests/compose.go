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

// LoadCompose reads a compose file by the schema of its specification.
func LoadCompose(ctx context.Context, text []byte) (*types.Project, error) {
	return loader.LoadWithContext(ctx, types.ConfigDetails{
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: text}}, Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("rafflecast", true) })
}

// elsewhere are the variables that name other parts, which have other names there,
// and those of images' volumes.
var elsewhere = []string{"NATS_URL", "PARTICIPATION_URL", "PGDATA"}

// Agreement checks that a compose file runs what an overlay runs: the same programs
// of the same images, told the same, with the same ports, limits and time to stop.
// more are variables that may be set beside the overlay's, with their values.
func Agreement(p *types.Project, o *Objects, programs map[string]Settings, more map[string]string) error {
	var errs []error
	there := map[string]bool{}
	for name, s := range p.Services {
		w := o.workload(workloadOf(name))
		if w == nil {
			errs = append(errs, fmt.Errorf("compose runs %s, the overlay does not", name))
			continue
		}
		there[w.Name] = true
		c := &w.Pod.Spec.Containers[0]
		if s.Image != c.Image {
			errs = append(errs, fmt.Errorf("%s is %s in compose, %s in the overlay", name, s.Image, c.Image))
		}
		errs = append(errs, published(name, s, w))
		if w.Name == "nats" {
			continue // a cluster there, one server here
		}
		if !slices.Equal(s.Command, c.Args) {
			errs = append(errs, fmt.Errorf("%s: the command is %v in compose, %v in the overlay", name, s.Command, c.Args))
		}
		errs = append(errs, sameEnvironment(name, s, o.env(c), more))
		if settings, ours := times[w.Name]; ours {
			errs = append(errs, sameLimits(name, s, c, programs[name], settings))
		}
	}
	for _, w := range o.Workloads {
		if !there[w.Name] {
			errs = append(errs, fmt.Errorf("the overlay runs %s, compose does not", w.Name))
		}
	}
	return errors.Join(errs...)
}

// workloadOf returns the name that a service of the compose file has in the overlay.
func workloadOf(service string) string {
	if service == "migrate" {
		return "participation-migrate"
	}
	if strings.HasPrefix(service, "nats-") {
		return "nats"
	}
	return service
}

func published(name string, s types.ServiceConfig, w *Workload) error {
	var errs []error
	for _, p := range s.Ports {
		if _, ok := w.port(intstr.FromInt(int(p.Target)), corev1.ProtocolTCP); !ok {
			errs = append(errs, fmt.Errorf("%s: there is no port %d in the overlay", name, p.Target))
		}
		if p.HostIP != "127.0.0.1" {
			errs = append(errs, fmt.Errorf("%s: port %d is open to the world", name, p.Target))
		}
	}
	return errors.Join(errs...)
}

func sameEnvironment(name string, s types.ServiceConfig, want, more map[string]string) error {
	var errs []error
	got := map[string]string{}
	for key, value := range s.Environment {
		if value != nil {
			got[key] = *value
		}
	}
	all := maps.Clone(got)
	maps.Copy(all, want)
	for key := range all {
		here, inCompose := got[key]
		there, inOverlay := want[key]
		if !inOverlay {
			there, inOverlay = more[key]
		}
		switch {
		case slices.Contains(elsewhere, key):
		case !inCompose || !inOverlay || here != there:
			errs = append(errs, fmt.Errorf("%s: %s is %q in compose, %q in the overlay", name, key, here, there))
		}
	}
	return errors.Join(errs...)
}

func sameLimits(name string, s types.ServiceConfig, c *corev1.Container, known Settings, settings []string) error {
	var errs []error
	if limit := c.Resources.Limits.Memory().Value(); int64(s.MemLimit) != limit {
		errs = append(errs, fmt.Errorf("%s: the memory limit is %d in compose, %d in the overlay", name, s.MemLimit, limit))
	}
	env := map[string]string{}
	for key, value := range s.Environment {
		env[key] = *value
	}
	d, err := stopTime(env, known, settings)
	if need := d + rest + margin; err != nil || s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < need {
		errs = append(errs, fmt.Errorf("%s: stop_grace_period must be at least %v: %w", name, need, err))
	}
	return errors.Join(errs...)
}
