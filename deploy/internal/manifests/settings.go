package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Settings are the environment variables of a program, with their defaults.
type Settings map[string]string

// ParseSettings reads what a program prints with its command settings.
func ParseSettings(text []byte) (Settings, error) {
	var all []struct{ Variable, Default string }
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("the settings of a program: %w", err)
	}
	s := Settings{}
	for _, one := range all {
		s[one.Variable] = one.Default
	}
	return s, nil
}

// common matches variables that are not settings, but that both programs read.
var common = regexp.MustCompile(`^(GOMEMLIMIT|GOGC|GOMAXPROCS|OTEL_[A-Z_]+)$`)

// Environment checks that each container of a program sets only variables that the program
// reads, that it logs as JSON, and that its memory limit is above GOMEMLIMIT.
func Environment(o *Objects, programs map[string]Settings) error {
	var errs []error
	for _, w := range o.Workloads {
		for _, c := range w.containers() {
			known, ours := programs[program(c.Image)]
			if !ours {
				continue
			}
			env := o.env(c)
			for name := range env {
				if _, ok := known[name]; !ok && !common.MatchString(name) {
					errs = append(errs, fmt.Errorf("%s: %s does not know %s", w.Name, program(c.Image), name))
				}
			}
			if env["LOG_FORMAT"] != "json" {
				errs = append(errs, fmt.Errorf("%s does not log as JSON", w.Name))
			}
			if c.Name == w.Name {
				errs = append(errs, memory(w.Name, c, env["GOMEMLIMIT"]))
			}
		}
	}
	return errors.Join(errs...)
}

// program returns the last part of an image's name.
func program(image string) string {
	name := image[strings.LastIndex(image, "/")+1:]
	name, _, _ = strings.Cut(name, ":")
	return name
}

func memory(name string, c *corev1.Container, goLimit string) error {
	soft, err := resource.ParseQuantity(strings.TrimSuffix(goLimit, "B"))
	hard := c.Resources.Limits.Memory()
	if err != nil || hard.IsZero() || soft.Value() > hard.Value()*9/10 {
		return fmt.Errorf("%s: GOMEMLIMIT=%s must be at least a tenth below the memory limit of %s", name, goLimit, hard)
	}
	if c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
		return fmt.Errorf("%s requests no CPU or no memory", name)
	}
	return nil
}

const (
	// rest is the time that both programs give to remaining work after their own timeouts.
	rest = 2 * time.Second
	// margin is what a busy machine may need in addition.
	margin = 5 * time.Second
)

// times lists the settings that add up to the time that a program needs to stop.
var times = map[string][]string{
	"gateway":       {"GATEWAY_DRAIN_DELAY", "GATEWAY_DRAIN_WINDOW"},
	"participation": {"PARTICIPATION_STOP_TIMEOUT"},
}

// Stop checks that the termination grace period of pods is long enough for their programs
// to stop, and that a preStop hook gives proxies time to stop sending requests.
func Stop(o *Objects, programs map[string]Settings) error {
	var errs []error
	for name, settings := range times {
		w := o.workload(name)
		if w == nil {
			continue
		}
		c := &w.Pod.Spec.Containers[0]
		sleep := preStopSleep(c)
		if sleep < 3*time.Second {
			errs = append(errs, fmt.Errorf("%s: it needs a preStop hook that sleeps for 3 s or more", name))
			continue
		}
		d, err := stopTime(o.env(c), programs[name], settings)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		need, grace := sleep+d+rest+margin, w.Pod.Spec.TerminationGracePeriodSeconds
		if grace == nil || time.Duration(*grace)*time.Second < need {
			errs = append(errs, fmt.Errorf("%s: terminationGracePeriodSeconds must be at least %v", name, need))
		}
	}
	return errors.Join(errs...)
}

func preStopSleep(c *corev1.Container) time.Duration {
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
		return 0
	}
	return time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
}

// stopTime returns the sum of the given settings, or of the defaults of those not set.
func stopTime(env map[string]string, known Settings, names []string) (sum time.Duration, err error) {
	for _, name := range names {
		value, ok := env[name]
		if !ok {
			value = known[name]
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum += d
	}
	return sum, nil
}
