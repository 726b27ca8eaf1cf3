package commands

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Which shell."`
}

// Help returns the details of the command's help.
func (*completionCommand) Help() string {
	return `Examples:

    source <(rafflecast completion bash)
    source <(rafflecast completion zsh)
    rafflecast completion fish | source`
}

// Run runs the command.
func (c *completionCommand) Run(k *kong.Kong) error {
	if c.Shell == "fish" {
		return writeFish(k.Stdout, k.Model)
	}
	if c.Shell == "zsh" {
		fmt.Fprintln(k.Stdout, "autoload -U +X bashcompinit && bashcompinit")
	}
	return writeBash(k.Stdout, k.Model)
}

// visible returns the commands that the help lists, and the flags of each.
func visible(app *kong.Application) (commands []*kong.Node, flags map[*kong.Node][]*kong.Flag) {
	flags = map[*kong.Node][]*kong.Flag{}
	for _, node := range app.Leaves(true) {
		commands = append(commands, node)
		for _, group := range node.AllFlags(true) {
			flags[node] = append(flags[node], group...)
		}
	}
	return commands, flags
}

func writeBash(w io.Writer, app *kong.Application) error {
	commands, flags := visible(app)
	var names []string
	var cases strings.Builder
	for _, node := range commands {
		spellings := append([]string{node.Name}, node.Aliases...)
		names = append(names, spellings...)
		var words []string
		for _, flag := range flags[node] {
			words = append(words, "--"+flag.Name)
		}
		for _, arg := range node.Positional {
			if arg.Enum != "" {
				words = append(words, arg.EnumSlice()...)
			}
		}
		fmt.Fprintf(&cases, "    %s) words=%q ;;\n", strings.Join(spellings, "|"), strings.Join(words, " "))
	}
	_, err := fmt.Fprintf(w, `_%[1]s() {
  local words=
  if [ "$COMP_CWORD" = 1 ]; then
    words=%[2]q
  else
    case ${COMP_WORDS[1]} in
%[3]s    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _%[1]s %[1]s
`, app.Name, strings.Join(append(names, "help"), " "), cases.String())
	return err
}

func writeFish(w io.Writer, app *kong.Application) error {
	commands, flags := visible(app)
	var b strings.Builder
	for _, node := range commands {
		fmt.Fprintf(
			&b,
			"complete -c %s -n __fish_use_subcommand -f -a %s -d %s\n",
			app.Name,
			node.Name,
			quote(node.Help),
		)
		spellings := strings.Join(append([]string{node.Name}, node.Aliases...), " ")
		seen := "-n '__fish_seen_subcommand_from " + spellings + "'"
		for _, flag := range flags[node] {
			value := ""
			switch {
			case flag.Enum != "":
				value = " -x -a " + quote(strings.Join(flag.EnumSlice(), " "))
			case !flag.IsBool():
				value = " -r"
			}
			fmt.Fprintf(&b, "complete -c %s %s -l %s%s -d %s\n", app.Name, seen, flag.Name, value, quote(flag.Help))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// quote writes a text for a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
