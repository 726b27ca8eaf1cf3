package doctor

import (
	"errors"
	"fmt"
	"io"

	"github.com/rafflecast/rafflecast/services/internal/command"
)

// report writes the findings, and returns the error that Run documents.
func report(w io.Writer, findings []finding) error {
	counts := map[verdict]int{}
	for _, f := range findings {
		counts[f.verdict]++
		fmt.Fprintf(w, "%-14s %-8s %s\n", f.check, f.verdict, f.text)
		for _, a := range f.advice {
			fmt.Fprintf(w, "%-14s   %-12s %s\n", "", a.product, a.text)
		}
	}
	switch {
	case counts[faulty] > 0 && counts[unknown] > 0:
		return &command.ExitError{
			Code: exitFault,
			Err: fmt.Errorf(
				"%d of %d checks found a fault, and %d could not be decided: correct the fault and run the diagnosis again",
				counts[faulty],
				len(findings),
				counts[unknown],
			),
		}
	case counts[faulty] > 0:
		return &command.ExitError{
			Code: exitFault,
			Err:  fmt.Errorf("%d of %d checks found a fault", counts[faulty], len(findings)),
		}
	case counts[unknown] > 0:
		return &command.ExitError{Code: exitUnknown, Err: errors.New("no check found a fault, but not all could be decided")}
	}
	return nil
}
