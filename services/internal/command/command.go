// Package command runs the commands of a program: it reads their settings, makes a
// logger, and ends them on a signal.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
)

// ExitError is an error that chooses the exit code of the process.
type ExitError struct {
	Code int
	Err  error // nil: the command has said what is wrong
}

// Error implements error.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns the error itself.
func (e *ExitError) Unwrap() error { return e.Err }

// The exit codes of a program.
const (
	exitFailed        = 1 // unless an ExitError chooses another
	exitNotUnderstood = 2
)

// globals are what every program has besides its own commands.
type globals struct {
	LogLevel  slog.Level `name:"log-level" env:"LOG_LEVEL" default:"info" form:"debug, info, warn or error" group:"Logging:" help:"Least level that is logged."`
	LogFormat string     `name:"log-format" env:"LOG_FORMAT" default:"text" enum:"text,json" group:"Logging:" help:"How a line is written."`

	Version  versionCommand  `cmd:"" group:"Other:" help:"Print which build this is."`
	Settings settingsCommand `cmd:"" group:"Other:" help:"Print every setting of every command as JSON, for other programs."`
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(k *kong.Kong) error {
	printVersion(k.Stdout, k.Model.Name)
	return nil
}

type settingsCommand struct{}

// Run prints the settings.
func (settingsCommand) Run(k *kong.Kong, parser *config.Parser) error {
	out := json.NewEncoder(k.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(parser.Settings())
}

// Main runs the command that the process's arguments name, with the settings that they
// and the environment give, and returns the exit code: 0; 2 if the arguments or
// settings were not understood; if the command failed, 1, or the code of an
// *ExitError. SIGINT and SIGTERM end the command's context; a second signal ends the
// process.
//
// commands points to a struct of kong's commands. Their Run methods may take a
// context.Context, a *slog.Logger, which logs to standard error, and whatever bindings
// holds. They get a Validate method by package config. Every program also has --help,
// help COMMAND, version, --version, settings, --log-level and --log-format.
func Main(program, description string, commands any, bindings ...any) int {
	return Run(program, description, commands, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr, bindings...)
}

// Run is Main with its own arguments, environment and output.
func Run(
	program, description string, commands any,
	args []string, lookup func(string) (string, bool), stdout, stderr io.Writer, bindings ...any,
) int {
	var common globals
	parser := config.NewParser(commands, lookup, kong.Name(program), kong.Description(description),
		kong.Embed(&common), kong.Writers(stdout, stderr), kong.Bind(bindings...))
	kctx, err := parser.Parse(usual(args))
	switch {
	case errors.Is(err, config.ErrHelp):
		_ = kctx.PrintUsage(false)
		return 0
	case errors.Is(err, config.ErrNoCommand):
		kctx.Stdout = stderr
		_ = kctx.PrintUsage(false)
		return exitNotUnderstood
	case err != nil:
		common.report(stderr, program, err, lookup)
		return exitNotUnderstood
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal has its default effect
	kctx.BindTo(ctx, (*context.Context)(nil))
	if err := kctx.Run(common.logger(stderr), parser); err != nil {
		exit, ok := errors.AsType[*ExitError](err)
		if !ok || exit.Err != nil {
			common.report(stderr, program, err, lookup)
		}
		if ok {
			return exit.Code
		}
		return exitFailed
	}
	return 0
}

// usual turns what people try first into what kong understands: "help", "help serve"
// and "--version".
func usual(args []string) []string {
	switch {
	case len(args) > 0 && args[0] == "help":
		return append(args[1:len(args):len(args)], "--help")
	case len(args) > 0 && args[0] == "--version":
		return []string{"version"}
	}
	return args
}

func (g *globals) logger(out io.Writer) *slog.Logger {
	options := slog.HandlerOptions{Level: g.LogLevel}
	if g.LogFormat == "json" {
		return slog.New(telemetry.LimitRepeats(telemetry.LogHandler(slog.NewJSONHandler(out, &options))))
	}
	return slog.New(telemetry.LimitRepeats(telemetry.LogHandler(slog.NewTextHandler(out, &options))))
}

// report writes an error: as a line of the log if that is JSON, else each of its lines
// by itself.
func (g *globals) report(out io.Writer, program string, err error, lookup func(string) (string, bool)) {
	format, _ := lookup("LOG_FORMAT") // settings that were not understood are not in g
	if g.LogFormat == "json" || g.LogFormat == "" && format == "json" {
		slog.New(slog.NewJSONHandler(out, nil)).Error("the program ends", "program", program, "error", err)
		return
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(out, "%s: %s\n", program, strings.TrimSuffix(line, "\n"))
	}
}
