package web

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// formatInteger groups the digits of n as both languages do.
func formatInteger(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// formatChance writes a chance from 0 to 1 in percent, with three digits that count. It
// never rounds up to 100 %.
func formatChance(chance float64) string {
	if chance >= 1 {
		return "100%"
	}
	percent := min(100*chance, 99.9)
	if percent <= 0 {
		return "0%"
	}
	decimals := max(0, 2-int(math.Floor(math.Log10(percent))))
	digits := strconv.FormatFloat(percent, 'f', decimals, 64)
	if strings.Contains(digits, ".") {
		digits = strings.TrimRight(strings.TrimRight(digits, "0"), ".")
	}
	return digits + "%"
}

// likely is the chance from which percents are easier to read than "1 in n".
const likely = 0.2

// formatOneIn writes a chance as "1 in n", or in percent if that is easier to read.
func (t *texts) formatOneIn(chance float64) string {
	n := 1 / chance
	switch {
	case chance >= likely:
		return formatChance(chance)
	case n < 10:
		return t.Get("oneIn", "n", strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0"))
	}
	return t.Get("oneIn", "n", formatInteger(int64(math.Round(n))))
}

// formatDuration writes a duration by its two largest units, and minutes with seconds as
// a clock does.
func (t *texts) formatDuration(d time.Duration) string {
	seconds := int64(max(d, 0) / time.Second)
	days, hours, minutes := seconds/86400, seconds/3600%24, seconds/60%60
	join := t.Get("unit.join")
	switch {
	case days > 0:
		return t.Get("unit.day", "n", days) + join + t.Get("unit.hour", "n", hours)
	case hours > 0:
		return t.Get("unit.hour", "n", hours) + join + t.Get("unit.minute", "n", minutes)
	}
	return strconv.FormatInt(minutes, 10) + ":" + strconv.FormatInt(100+seconds%60, 10)[1:]
}

var timeFormats = map[string]string{
	"en": "Mon, 2 Jan 2006, 15:04 UTC",
	"ko": "2006년 1월 2일 15:04 UTC",
}

// formatTime writes a time with its zone, which is UTC: a visitor's own is not known
// before the script runs.
func (t *texts) formatTime(at time.Time) string { return at.UTC().Format(timeFormats[t.lang]) }
