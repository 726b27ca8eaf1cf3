package doctor

import (
	"errors"
	"fmt"
	"io"

	"github.com/rafflecast/rafflecast/services/internal/command"
)

// report writes the findings, and returns nil where all is well.
func report(w io.Writer, findings []finding) error {
	counts := map[verdict]int{}
	for _, f := range findings {
		counts[f.verdict]++
		fmt.Fprintf(w, "%-14s %-8s %s\n", f.check, f.verdict, f.what)
		for _, s := range f.try {
			fmt.Fprintf(w, "%-14s   %-12s %s\n", "", s.product, s.text)
		}
	}
	switch {
	case counts[faulty] > 0:
		err := fmt.Errorf("%d of %d checks found a fault on the way", counts[faulty], len(findings))
		if counts[unknown] > 0 {
			err = fmt.Errorf("%w, and %d could not be told: mend it and ask again", err, counts[unknown])
		}
		return &command.ExitError{Code: exitFault, Err: err}
	case counts[unknown] > 0:
		return &command.ExitError{Code: exitUnknown, Err: errors.New("no fault was found, but not all could be told")}
	}
	return nil
}
