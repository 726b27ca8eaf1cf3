// Package config reads settings from flags and environment variables: a flag
// wins over its variable, a variable over the default. Everything wrong is
// reported at once, by the name under which it was given.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// Set holds the flags of one command. It is not safe for concurrent use.
type Set struct {
	flags *flag.FlagSet
	// env maps a flag's name to the name of its environment variable.
	env   map[string]string
	order []string
	// positional are the arguments that are no flags, in their order.
	positional []positional
	// given maps a flag's name to the value that its variable gave it.
	given map[string]string
}

// positional is an argument that must be given, without a flag.
type positional struct {
	value *string
	name  string
	usage string
}

// NewSet returns an empty set for the command with this name.
func NewSet(command string) *Set {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	return &Set{flags: flags, env: map[string]string{}, given: map[string]string{}}
}

// String adds a text setting with its default.
func (s *Set) String(p *string, name, env, value, usage string) {
	s.flags.StringVar(p, name, value, usage)
	s.add(name, env)
}

// Int adds a whole number with its default.
func (s *Set) Int(p *int, name, env string, value int, usage string) {
	s.flags.IntVar(p, name, value, usage)
	s.add(name, env)
}

// Bool adds a switch with its default.
func (s *Set) Bool(p *bool, name, env string, value bool, usage string) {
	s.flags.BoolVar(p, name, value, usage)
	s.add(name, env)
}

// Duration adds a time span with its default, written like 1m30s.
func (s *Set) Duration(p *time.Duration, name, env string, value time.Duration, usage string) {
	s.flags.DurationVar(p, name, value, usage)
	s.add(name, env)
}

// Argument adds a text that is given without a flag, and must be. Several are
// given in the order in which they were added; flags may stand between them.
func (s *Set) Argument(p *string, name, usage string) {
	s.positional = append(s.positional, positional{p, name, usage})
}

func (s *Set) add(name, env string) {
	s.env[name] = env
	s.order = append(s.order, name)
}

// Default gives a setting another default. It panics where there is no such
// setting or the value does not fit it: both are defects.
func (s *Set) Default(name, value string) {
	if err := s.flags.Set(name, value); err != nil {
		panic(err)
	}
	s.flags.Lookup(name).DefValue = value
}

// Parse reads the variables through lookup (os.LookupEnv), then the arguments.
// It returns flag.ErrHelp where help was asked for, else all errors joined.
func (s *Set) Parse(args []string, lookup func(string) (string, bool)) error {
	var errs []error
	for _, name := range s.order {
		// An empty variable is an unset one, as in container manifests.
		value, ok := lookup(s.env[name])
		if !ok || value == "" {
			continue
		}
		if err := s.flags.Set(name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", s.env[name], value, err))
		}
		s.given[name] = s.flags.Lookup(name).Value.String()
	}
	errs = append(errs, s.parseArguments(args)...)
	for _, err := range errs {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
	}
	return errors.Join(errs...)
}

// parseArguments goes on where the flag package stops: behind a bad flag, and
// behind an argument that is none.
func (s *Set) parseArguments(args []string) (errs []error) {
	missing := s.positional
	for rest := args; len(rest) > 0; {
		err := s.flags.Parse(rest)
		rest = s.flags.Args()
		switch {
		case err != nil:
			errs = append(errs, err)
		case len(rest) > 0 && len(missing) > 0:
			*missing[0].value = rest[0]
			missing, rest = missing[1:], rest[1:]
		case len(rest) > 0:
			errs = append(errs, fmt.Errorf("unexpected argument %q", rest[0]))
			rest = rest[1:]
		}
	}
	for _, p := range missing {
		errs = append(errs, fmt.Errorf("%s is missing: %s", p.name, p.usage))
	}
	return errs
}

// Usage writes every argument with its meaning, and every setting with its
// variable, meaning and default.
func (s *Set) Usage(w io.Writer) {
	for _, p := range s.positional {
		fmt.Fprintf(w, "  %s, without a flag\n        %s\n", p.name, p.usage)
	}
	for _, name := range s.order {
		f := s.flags.Lookup(name)
		value := f.DefValue
		if value == "" {
			value = "none"
		}
		fmt.Fprintf(w, "  --%s, %s\n        %s (default %s)\n", name, s.env[name], f.Usage, value)
	}
}

// Section adds the settings of one service to a set. The zero Section names
// flags as the service's own command does.
type Section struct {
	set     *Set
	prefix  string
	service string
}

// Section returns the part of s for a service. With prefixed, its flags are
// named --service-flag, so that one command can hold several services; the
// environment variables are SERVICE_FLAG either way.
func (s *Set) Section(service string, prefixed bool) Section {
	sec := Section{set: s, service: service}
	if prefixed {
		sec.prefix = service + "-"
	}
	return sec
}

// String adds a text setting with its default.
func (s Section) String(p *string, name, value, usage string) {
	s.set.String(p, s.prefix+name, s.env(name), value, usage)
}

// Int adds a whole number with its default.
func (s Section) Int(p *int, name string, value int, usage string) {
	s.set.Int(p, s.prefix+name, s.env(name), value, usage)
}

// Bool adds a switch with its default.
func (s Section) Bool(p *bool, name string, value bool, usage string) {
	s.set.Bool(p, s.prefix+name, s.env(name), value, usage)
}

// Duration adds a time span with its default.
func (s Section) Duration(p *time.Duration, name string, value time.Duration, usage string) {
	s.set.Duration(p, s.prefix+name, s.env(name), value, usage)
}

// Flag returns the flag of a setting of this section.
func (s Section) Flag(name string) string { return "--" + s.prefix + name }

// given returns the name by which the user gave a setting: its variable, or else
// its flag.
func (s Section) given(name string) string {
	if s.set != nil {
		f := s.set.flags.Lookup(s.prefix + name)
		if value, ok := s.set.given[s.prefix+name]; ok && f.Value.String() == value {
			return s.set.env[s.prefix+name]
		}
	}
	return s.Flag(name)
}

func (s Section) env(name string) string {
	return strings.ToUpper(strings.ReplaceAll(s.service+"-"+name, "-", "_"))
}
