package config

import "strings"

// List splits the text of a setting at its commas.
func List(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
