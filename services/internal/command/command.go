// Package command is what the mains of our programs have in common: a
// subcommand, its settings, a logger, and an end by signal.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
)

// Command is one thing that a program can do.
type Command struct {
	Name    string
	Summary string
	// Check, where set, tells what is wrong with the settings.
	Check func() error
	// Run does it until ctx ends. args are what follows "--". An *ExitError
	// chooses the exit code.
	Run func(ctx context.Context, args []string) error
}

// ExitError is an error that chooses the exit code of the process.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }

func (e *ExitError) Unwrap() error { return e.Err }

// Main reads the process's arguments and environment into set, points log at a
// logger to standard error, runs the command named first, and returns the exit
// code: 0, 1 or another of its own where the command failed, 2 where it was not
// understood. SIGINT and SIGTERM end its context; a second one ends the process.
//
// The garbage collector is let run less often than by default (GOGC, where set,
// wins): our services keep little and allocate much, so that a larger heap of
// some tens of MiB saves a fifth of their work.
func Main(program string, set *config.Set, log **slog.Logger, commands ...Command) int {
	var level, format string
	set.String(&level, "log-level", "LOG_LEVEL", "info", "least level to log: debug, info, warn or error")
	set.String(&format, "log-format", "LOG_FORMAT", "text", "how to log: text or json")
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	args, rest := split(os.Args[1:])
	if len(args) > 0 && (args[0] == "help" || args[0] == "--help" || args[0] == "-h") {
		usage(os.Stdout, program, set, commands)
		return 0
	}
	if len(args) > 0 && (args[0] == "version" || args[0] == "--version") {
		printVersion(os.Stdout, program)
		return 0
	}
	cmd := find(commands, args)
	if cmd == nil {
		usage(os.Stderr, program, set, commands)
		return 2
	}
	err := set.Parse(args[1:], os.LookupEnv)
	if errors.Is(err, flag.ErrHelp) {
		usage(os.Stdout, program, set, commands)
		return 0
	}
	*log = newLogger(os.Stderr, level, format, &err)
	if cmd.Check != nil {
		err = errors.Join(err, cmd.Check())
	}
	if err != nil {
		return fail(program, err, 2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from now on a signal kills
	if cmd.Name == "serve" {
		(*log).Info("starting", "program", program, "version", Version(), "revision", Revision())
	}
	if err := cmd.Run(ctx, rest); err != nil {
		return fail(program, err, exitCode(err))
	}
	return 0
}

// split returns what stands before and after "--".
func split(args []string) (before, after []string) {
	for i, arg := range args {
		if arg == "--" {
			return args[:i], args[i+1:]
		}
	}
	return args, nil
}

func find(commands []Command, args []string) *Command {
	for i := range commands {
		if len(args) > 0 && args[0] == commands[i].Name {
			return &commands[i]
		}
	}
	return nil
}

func newLogger(w io.Writer, level, format string, errs *error) *slog.Logger {
	var options slog.HandlerOptions
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		*errs = errors.Join(*errs, fmt.Errorf("--log-level=%s: must be debug, info, warn or error", level))
	}
	options.Level = least
	switch format {
	case "json":
		return slog.New(telemetry.LogHandler(slog.NewJSONHandler(w, &options)))
	case "text":
	default:
		*errs = errors.Join(*errs, fmt.Errorf("--log-format=%s: must be text or json", format))
	}
	return slog.New(telemetry.LogHandler(slog.NewTextHandler(w, &options)))
}

func usage(w io.Writer, program string, set *config.Set, commands []Command) {
	fmt.Fprintf(w, "Usage: %s COMMAND [--setting=value ...]\n\nCommands:\n", program)
	for _, c := range commands {
		fmt.Fprintf(w, "  %-14s %s\n", c.Name, c.Summary)
	}
	fmt.Fprintf(w, "  %-14s %s\n", "version", "tell which build this is")
	fmt.Fprintf(w, "\nSettings, by flag or environment variable:\n")
	set.Usage(w)
	fmt.Fprint(w, "\nTraces go where OpenTelemetry's variables say, as OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318; without them, nowhere.\n")
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return exit.Code
	}
	return 1
}

func fail(program string, err error, code int) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", program, strings.TrimSuffix(line, "\n"))
	}
	return code
}
