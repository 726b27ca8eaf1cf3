package config

import (
	"errors"
	"reflect"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// Rules is implemented by a struct of settings with rules that tags cannot express.
type Rules interface {
	// Rules notes in check which fields break a rule. It may be called more than once.
	Rules(check *Checks)
}

// Checks collects what is wrong with settings.
type Checks struct {
	settings map[any]*kong.Value // by pointer to the field
	wrong    map[*kong.Value]bool
	errs     []error
	// name returns what the user calls a setting.
	name func(*kong.Value) string
}

func newChecks(name func(*kong.Value) string) *Checks {
	return &Checks{settings: map[any]*kong.Value{}, wrong: map[*kong.Value]bool{}, name: name}
}

// That notes an error unless ok. field points to the field that is wrong. The error
// says that its value must be what bound says, or without a bound, what its tags say.
// Of a field that is wrong in several ways, the first is noted.
func (c *Checks) That(ok bool, field any, bounds ...string) {
	setting := c.settings[field]
	if ok || setting == nil {
		return
	}
	if len(bounds) == 0 {
		bounds = []string{bound(setting)}
	}
	c.fail(setting, value(setting), strings.Join(bounds, ": "))
}

// NoError is That for a check that says in err why the value is wrong.
func (c *Checks) NoError(err error, field any) {
	if err != nil {
		c.That(false, field, bound(c.settings[field]), err.Error())
	}
}

// userInfo matches what a URL, or one of a list, holds before the name of its host.
var userInfo = regexp.MustCompile(`://[^/?#,]*@`)

// fail notes that a setting has a value that it cannot have. The value of a secret is
// not in the error, and of a URL not its user and password.
func (c *Checks) fail(setting *kong.Value, value, bound string) {
	if c.wrong[setting] {
		return
	}
	c.wrong[setting] = true
	if setting.Tag.Has("secret") && value != "" {
		value = "…"
	}
	value = userInfo.ReplaceAllString(value, "://…@")
	name := c.name(setting)
	if value == "" && setting.Flag != nil && len(setting.Flag.Envs) > 0 {
		name += " (" + strings.Join(setting.Flag.Envs, ", ") + ")"
	}
	c.errs = append(c.errs, &Error{Name: name, Value: value, Bound: bound})
}

// check compares settings with the bounds in their tags, then calls the Rules of the
// struct that holds them and of all structs in it.
func (c *Checks) check(settings []*kong.Value, holder reflect.Value) {
	for _, setting := range settings {
		c.settings[setting.Target.Addr().Interface()] = setting
		c.That(inBounds(setting), setting.Target.Addr().Interface())
	}
	c.rules(holder)
}

func (c *Checks) rules(holder reflect.Value) {
	if holder.Kind() != reflect.Struct {
		return
	}
	if holder.CanInterface() { // it can't if its type is not exported, but its fields may
		if r, ok := holder.Addr().Interface().(Rules); ok {
			r.Rules(c)
		}
	}
	for _, field := range holder.Fields() {
		c.rules(field)
	}
}

// Validate returns everything that is wrong with the struct that settings points to.
func Validate(settings any) error {
	c := newChecks((*kong.Value).ShortSummary)
	c.check(model(settings).Values(), reflect.ValueOf(settings).Elem())
	return errors.Join(c.errs...)
}

// SetDefaults sets the fields of the struct that settings points to, to the defaults
// in their tags.
func SetDefaults(settings any) {
	for _, setting := range model(settings).Values() {
		setting.Tag.Envs = nil // kong would read the variables, too
		if err := setting.Reset(); err != nil {
			panic(err) // the declaration is wrong
		}
	}
}

// model returns the settings of a struct. A struct that is declared wrongly is a
// defect, and panics.
func model(settings any) *kong.Node {
	return kong.Must(settings, kong.NoDefaultHelp()).Model.Node
}
