package decimal

import "testing"

func TestParse_TakesPlainDigitsOnly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "-7": -7, "42": 42, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
	} {
		if n, ok := Parse(text, 64); !ok || n != want {
			t.Errorf("%q: %d, %t", text, n, ok)
		}
	}
	for _, text := range []string{
		"", "-", "+1", "-0", "01", "007", " 1", "1 ", "1\n", "1.0", "1e0", "1E0", "0x1", "0b1", "0o1", "1_000", "１", "x",
		"9223372036854775808", "-9223372036854775809",
	} {
		if n, ok := Parse(text, 64); ok {
			t.Errorf("%q is read as %d", text, n)
		}
	}
	if _, ok := Parse("2147483648", 32); ok {
		t.Error("a number of 33 bits is read as one of 32")
	}
}
