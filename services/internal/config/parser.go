package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Parser reads the command line and the environment of a program into the structs of
// its commands. It is for one call of Parse.
type Parser struct {
	kong   *kong.Kong
	lookup func(string) (string, bool) // reads an environment variable
	// given names the variable that a value came from. A value from the command line
	// has no entry.
	given map[*kong.Value]string
	// unread holds the values that could not be read.
	unread map[*kong.Value]string
}

// ErrHelp is returned by Parse if the user asked for help.
var ErrHelp = errors.New("help is asked for")

// ErrNoCommand is returned by Parse if the arguments name no command.
var ErrNoCommand = errors.New("no command is given")

// NewParser returns a parser. commands points to a struct of kong's commands; lookup
// is os.LookupEnv. It panics if the struct is declared wrongly.
func NewParser(commands any, lookup func(string) (string, bool), options ...kong.Option) *Parser {
	p := &Parser{
		lookup: lookup, given: map[*kong.Value]string{}, unread: map[*kong.Value]string{},
	}
	p.kong = kong.Must(commands, append(options,
		kong.Resolvers(kong.ResolverFunc(p.resolve)),
		kong.ValueFormatter(describe),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100, NoExpandSubcommands: true}),
	)...)
	_ = kong.Visit(p.kong.Model.Node, func(node kong.Visitable, next kong.Next) error {
		switch node := node.(type) {
		case *kong.Flag:
			// kong would take an empty variable for a value. resolve reads them instead.
			node.Tag.Envs = nil
		case *kong.Value:
			node.Mapper = collector{node.Mapper, p}
		}
		return next(nil)
	})
	return p
}

// Parse reads the arguments that follow the program's name, and the environment. It
// returns the context of the command that was selected, with ErrHelp, ErrNoCommand,
// all that is wrong, joined, or nil.
func (p *Parser) Parse(args []string) (*kong.Context, error) {
	ctx, errs := p.trace(args)
	switch {
	case slices.ContainsFunc(ctx.Path, func(path *kong.Path) bool { return path.Flag != nil && path.Flag == p.kong.Model.HelpFlag }):
		return ctx, ErrHelp
	case ctx.Selected() == nil && len(errs) == 0:
		return ctx, ErrNoCommand
	case ctx.Selected() == nil:
		return ctx, errors.Join(errs...)
	}
	if err := ctx.Reset(); err != nil {
		return ctx, err
	}
	if err := ctx.Resolve(); err != nil {
		return ctx, err
	}
	if _, err := ctx.Apply(); err != nil {
		return ctx, err
	}
	return ctx, errors.Join(append(errs, p.check(ctx)...)...)
}

// trace has kong find the command and the flags in args. kong stops at the first
// argument that it cannot place. That one is reported and left out, and kong starts
// over.
func (p *Parser) trace(args []string) (*kong.Context, []error) {
	var errs []error
	for {
		ctx, err := kong.Trace(p.kong, args)
		if err == nil {
			err = ctx.Error
		}
		if err == nil {
			return ctx, errs
		}
		at := len(args) - len(ctx.Path[len(ctx.Path)-1].Remainder())
		if at >= len(args) {
			return ctx, append(errs, err)
		}
		errs = append(errs, misplaced(ctx, args[at], err))
		switch {
		case ctx.Selected() == nil && !strings.HasPrefix(args[at], "-"):
			return ctx, errs // without a command, nothing that follows has a meaning
		case args[at] == "--":
			args = args[:at]
		default:
			args = slices.Concat(args[:at], args[at+1:])
		}
	}
}

// misplaced returns what to report of an argument that kong cannot place. It may be
// the value of a misspelt flag, so one that may hold a password is not quoted.
func misplaced(ctx *kong.Context, arg string, err error) error {
	suggestion, unexpected := strings.CutPrefix(err.Error(), "unexpected argument ")
	switch {
	case strings.HasPrefix(err.Error(), "unknown flag"):
		return err
	case strings.ContainsAny(arg, "@="):
		return errors.New(`unexpected argument "…"`)
	case unexpected && ctx.Selected() == nil:
		return errors.New("unknown command " + suggestion)
	}
	return fmt.Errorf("unexpected argument %q", arg)
}

// resolve returns the value that a flag has in the environment, or nil. kong calls it
// for the flags of the selected command that are not on the command line.
func (p *Parser) resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if value, _ := p.lookup(name); value != "" {
			p.given[flag.Value] = name
			return value, nil
		}
	}
	return nil, nil //nolint:nilnil // kong's word for "not here"
}

// collector reads a value. If it cannot, it notes the value and takes the default
// instead, so that kong goes on with the next setting.
type collector struct {
	next   kong.Mapper
	parser *Parser
}

// Decode implements kong.Mapper.
func (c collector) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	setting, token := ctx.Value, ctx.Scan.Peek()
	value := token.String()
	if !setting.IsBool() && !token.IsValue() {
		value = "" // the token is the next flag, or the end
	} else if err := c.next.Decode(ctx, target); err == nil {
		return nil
	}
	c.parser.unread[setting] = value
	if !setting.HasDefault {
		return nil
	}
	fallback := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: setting.Default})
	return c.next.Decode(ctx.WithScanner(fallback), target)
}

// check returns everything that is wrong with the settings of the selected command.
func (p *Parser) check(ctx *kong.Context) []error {
	checks := newChecks(p.name)
	settings := selected(ctx)
	for _, setting := range settings {
		if value, ok := p.unread[setting]; ok {
			checks.fail(setting, value, syntax(setting))
		}
	}
	checks.check(settings, ctx.Selected().Target)
	return checks.errs
}

// name returns the variable that a value came from, or else the setting's flag.
func (p *Parser) name(setting *kong.Value) string {
	if variable, ok := p.given[setting]; ok {
		return variable
	}
	return setting.ShortSummary()
}

// selected returns the flags and arguments of the program and of the selected command.
func selected(ctx *kong.Context) (settings []*kong.Value) {
	for _, path := range ctx.Path {
		if node := path.Node(); node != nil {
			settings = append(settings, node.Values()...)
		}
	}
	return settings
}
