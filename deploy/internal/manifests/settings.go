package manifests

import (
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

var setting = regexp.MustCompile(`(?m)^  --[a-z-]+, ([A-Z_]+)\n.*\(default (.*)\)$`)

// ParseSettings reads what a program's help says.
func ParseSettings(help string) Settings {
	s := Settings{}
	for _, m := range setting.FindAllStringSubmatch(help, -1) {
		s[m[1]] = m[2]
	}
	return s
}

// ofGo are variables that every Go program of ours heeds.
var ofGo = regexp.MustCompile(`^(GOMEMLIMIT|GOGC|GOMAXPROCS|OTEL_[A-Z_]+)$`)

// Environment checks that a container of each program is told only what the
// program knows, and that its memory limit leaves room above the collector's.
func Environment(o *Objects, programs map[string]Settings) error {
	var errs []error
	for _, w := range o.Workloads {
		c := &w.Pod.Spec.Containers[0]
		known, ours := programs[program(c.Image)]
		if !ours {
			continue
		}
		env := o.env(c)
		for name := range env {
			if _, ok := known[name]; !ok && !ofGo.MatchString(name) {
				errs = append(errs, fmt.Errorf("%s: %s does not know %s", w.Name, program(c.Image), name))
			}
		}
		if env["LOG_FORMAT"] != "json" {
			errs = append(errs, fmt.Errorf("%s does not log as JSON", w.Name))
		}
		if w.Kind != "Job" {
			errs = append(errs, memory(w.Name, c, env["GOMEMLIMIT"]))
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
		return fmt.Errorf("%s: GOMEMLIMIT=%s is not a tenth below the limit of %s", name, goLimit, hard)
	}
	if c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
		return fmt.Errorf("%s requests no CPU or no memory", name)
	}
	return nil
}

const (
	// rest is what a program does after its own times: both give 2 s to what is left.
	rest = 2 * time.Second
	// margin is what a busy machine may need on top.
	margin = 5 * time.Second
)

// times are the settings that make a program's stop long.
var times = map[string][]string{
	"gateway":       {"GATEWAY_DRAIN_DELAY", "GATEWAY_DRAIN_WINDOW"},
	"participation": {"PARTICIPATION_STOP_TIMEOUT"},
}

// Stop checks that pods are given the time that their programs take to stop, and
// that proxies get a moment to hear of it.
func Stop(o *Objects, programs map[string]Settings) error {
	var errs []error
	for name, settings := range times {
		w := o.workload(name)
		if w == nil {
			continue
		}
		c := &w.Pod.Spec.Containers[0]
		if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil || c.Lifecycle.PreStop.Sleep.Seconds < 3 {
			errs = append(errs, fmt.Errorf("%s: no preStop gives proxies 3 s to hear that the pod leaves", name))
			continue
		}
		need := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds)*time.Second + rest + margin
		d, err := stopTime(o.env(c), programs[name], settings)
		need += d
		if grace := w.Pod.Spec.TerminationGracePeriodSeconds; err != nil || grace == nil || time.Duration(*grace)*time.Second < need {
			errs = append(errs, fmt.Errorf("%s: its grace must be at least %v: %w", name, need, err))
		}
	}
	return errors.Join(errs...)
}

// stopTime adds up settings, or their defaults.
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
