package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Checks collects what is wrong with the settings of a section. The zero value
// is not usable: make it with Section.Checks.
type Checks struct {
	section Section
	errs    []error
}

// Checks returns an empty collection.
func (s Section) Checks() *Checks { return &Checks{section: s} }

// That notes an error where ok is false: name and value as the user gave them,
// and the bound that the value breaks.
func (c *Checks) That(ok bool, name string, value any, bound string) {
	if !ok {
		c.errs = append(c.errs, fmt.Errorf("%s=%v: must be %s", c.section.given(name), value, bound))
	}
}

// NoError notes err, where there is one, with the bound that the value breaks.
func (c *Checks) NoError(name string, value any, err error, bound string) {
	if err != nil {
		c.That(false, name, value, fmt.Sprintf("%s: %v", bound, err))
	}
}

// Between notes an error where value lies outside low to high.
func (c *Checks) Between(name string, value, low, high int) {
	c.That(low <= value && value <= high, name, value, fmt.Sprintf("%d to %d", low, high))
}

// DurationBetween notes an error where value lies outside low to high.
func (c *Checks) DurationBetween(name string, value, low, high time.Duration) {
	c.That(low <= value && value <= high, name, value, fmt.Sprintf("%v to %v", low, high))
}

// Address notes an error where value is not host:port; an empty host means all
// interfaces, port 0 a free one.
func (c *Checks) Address(name, value string) {
	_, port, err := net.SplitHostPort(value)
	_, errPort := strconv.ParseUint(port, 10, 16)
	c.That(err == nil && errPort == nil, name, value, "host:port with a port of 0 to 65535")
}

// Err returns all that was noted, joined, or nil.
func (c *Checks) Err() error { return errors.Join(c.errs...) }
