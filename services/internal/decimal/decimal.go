// Package decimal reads whole numbers in the one form that paths, queries and bodies of
// requests may have them in, so that each number is written in one way only.
package decimal

import "strconv"

// Parse reads a whole number of so many bits that is written in plain decimal digits, such
// as 42 or -7. ok is false for all else that other parsers take: a plus sign, leading
// zeros, blanks, a fraction, an exponent.
func Parse(text string, bits int) (n int64, ok bool) {
	n, err := strconv.ParseInt(text, 10, bits)
	return n, err == nil && strconv.FormatInt(n, 10) == text
}
