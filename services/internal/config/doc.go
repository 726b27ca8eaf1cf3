// Package config reads the settings of our programs from flags and environment
// variables, with github.com/alecthomas/kong. A flag wins over its variable, a
// variable over the default; an empty variable counts as unset. Everything that is
// wrong is reported together, each by the flag or variable that it came from.
//
// A setting is declared once, as a field of a struct, by its tags. Flag, variable,
// default, help text and check all come from there:
//
//	Queue int `name:"queue" env:"PARTICIPATION_QUEUE" default:"8192" min:"1" max:"1000000" unit:"calls" help:"..."`
//
// Of kong's tags we use name, env, default, enum, help, group, required (the value
// must not be empty), and for structs embed, prefix and set, which changes a default
// that is written ${variable=value}. Ours are:
//
//   - min, max: the least and the greatest number or duration
//   - zero: 0 is allowed besides, and this is what it means
//   - unit: what is counted
//   - form: what a text must look like, in words that follow "must be"
//   - is: the text must be what kinds in this package says: "address", "grpc-target",
//     "nats" or "url"
//   - per-call: the flag is about one call only, so it has no variable
//   - secret: the value may hold a password and is never printed
//
// A struct with rules that tags cannot express implements Rules.
package config
