package configtest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Declarations returns what is wrong with the settings of a program. Each must have a
// variable, unless it is about one call only, a help text that is a sentence, and unless
// it is a switch, bounds; its default must lie within them. commands points to the struct
// that main gives to command.Main.
func Declarations(commands any) error {
	newParser := func() *config.Parser {
		return config.NewParser(commands, func(string) (string, bool) { return "", false })
	}
	var errs []error
	ran := map[string]bool{}
	for _, s := range newParser().Settings() {
		complain := func(ok bool, what string) {
			if !ok {
				errs = append(errs, fmt.Errorf("%s %s: %s", s.Command, s.Flag, what))
			}
		}
		complain(s.Variable != "" || s.PerCall, "it has no environment variable")
		complain(s.Variable == "" || !s.PerCall, "it is about one call and has an environment variable")
		sentence := s.Help != "" && s.Help[:1] == strings.ToUpper(s.Help[:1]) && strings.HasSuffix(s.Help, ".")
		complain(sentence, "its help is no sentence: "+s.Help)
		numeric := s.Type == "int" || s.Type == "time.Duration"
		bounded := s.Bound != "" && (!numeric || strings.Contains(s.Bound, " to ") || strings.Contains(s.Bound, "at least "))
		complain(s.Type == "bool" || bounded, "it has no bounds: "+s.Bound)
		if !ran[s.Command] {
			ran[s.Command] = true
			errs = append(errs, defaults(newParser(), s.Command))
		}
	}
	if len(ran) == 0 {
		errs = append(errs, errors.New("there are no settings"))
	}
	return errors.Join(errs...)
}

// defaults returns which defaults a command itself finds wrong. What has none may be
// missing.
func defaults(parser *config.Parser, command string) error {
	_, err := parser.Parse(strings.Fields(command))
	joined, ok := err.(interface{ Unwrap() []error })
	if err == nil || !ok {
		return err
	}
	var errs []error
	for _, err := range joined.Unwrap() {
		if wrong, ok := errors.AsType[*config.Error](err); !ok || wrong.Value != "" {
			errs = append(errs, fmt.Errorf("%s: a default: %w", command, err))
		}
	}
	return errors.Join(errs...)
}
