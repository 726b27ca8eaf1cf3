package web

import (
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"

	"github.com/rafflecast/rafflecast/services/gateway/internal/course"
)

// quiet is the margin that a QR code needs to be read, in modules.
const quiet = 4

// qrCode returns a QR code of an address, as an SVG that scales.
func qrCode(address string) (template.HTML, error) {
	code, err := qr.Encode(address, qr.M)
	if err != nil {
		return "", fmt.Errorf("QR code of %.100q: %w", address, err)
	}
	var path strings.Builder
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	size := code.Size + 2*quiet
	//nolint:gosec // it holds numbers and the escaped address
	return template.HTML(fmt.Sprintf(`<svg class="qr" viewBox="0 0 %d %d" role="img" aria-label="%s" shape-rendering="crispEdges">`+
		`<path class="qr-paper" d="M0 0h%dv%dH0z"/><path d="%s"/></svg>`,
		size, size, template.HTMLEscapeString(address), size, size, path.String())), nil
}

// pairs returns the points of a course as the script reads them.
func pairs(points []course.Point) [][]int64 {
	all := make([][]int64, len(points))
	for i, p := range points {
		all[i] = []int64{p.At, p.Entries}
	}
	return all
}
