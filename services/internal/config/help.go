package config

import (
	"strings"

	"github.com/alecthomas/kong"
)

// describe returns the help text of a setting: what it is, what it must be, and its
// environment variable. kong writes the default beside the flag, but that of a switch.
func describe(setting *kong.Value) string {
	parts := []string{setting.Help}
	if bound := bound(setting); bound != "" {
		parts = append(parts, "("+bound+")")
	}
	if setting.IsBool() && setting.Default == "true" {
		parts = append(parts, "(default true)")
	}
	if setting.Flag != nil && len(setting.Flag.Envs) > 0 {
		parts = append(parts, "["+strings.Join(setting.Flag.Envs, ", ")+"]")
	}
	return strings.Join(parts, " ")
}

// Setting describes a setting of a command for other programs.
type Setting struct {
	Command  string `json:"command"` // empty: every command has it
	Flag     string `json:"flag"`
	Type     string `json:"type"` // of the Go field: int, time.Duration, string, bool
	Variable string `json:"variable"`
	Default  string `json:"default"`
	Bound    string `json:"bound"` // what it must be, in words
	Help     string `json:"help"`

	// PerCall says that the flag is about one call only, as the title of a new raffle, so
	// that no environment variable may set it.
	PerCall bool `json:"-"`
}

// Settings returns all settings of the program's visible commands.
func (p *Parser) Settings() []Setting {
	all := []Setting{}
	for _, node := range append([]*kong.Node{p.kong.Model.Node}, p.kong.Model.Leaves(true)...) {
		for _, flag := range node.Flags {
			if flag != p.kong.Model.HelpFlag {
				all = append(all, Setting{
					Command: commandName(node), Flag: "--" + flag.Name, Type: flag.Target.Type().String(), Variable: strings.Join(flag.Envs, ","),
					Default: flag.Default, Bound: bound(flag.Value), Help: flag.Help,
					PerCall: flag.Tag.Has("per-call"),
				})
			}
		}
	}
	return all
}

// commandName returns the name of a command, without its aliases; that of the program is
// empty.
func commandName(node *kong.Node) string {
	if node.Type != kong.CommandNode {
		return ""
	}
	return strings.TrimSpace(commandName(node.Parent) + " " + node.Name)
}
