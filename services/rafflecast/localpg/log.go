//go:build unix

package localpg

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
)

const (
	maxLog   = 8 << 20 // bytes, beyond which a start moves the log away
	maxWords = 2 << 10 // bytes of the log that are looked at for an error
	maxLines = 4       // of them in an error
)

// openLog opens the server's log for appending and tells its size so far, in bytes.
func openLog(p place) (*os.File, int64, error) {
	path := p.file("postgres.log")
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, 0, err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600) //nolint:gosec // G304: the caller's directory
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil {
		err = p.acct.own(path)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// withLog adds what postgres last wrote in this run to its exit status.
func (s *Server) withLog(status error) error {
	if status == nil {
		status = errors.New("exit status 0")
	}
	f, err := os.Open(s.place.file("postgres.log"))
	if err != nil {
		return status
	}
	defer func() { _ = f.Close() }()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return status
	}
	text := make([]byte, max(0, min(end-s.logStart, maxWords)))
	n, _ := f.ReadAt(text, end-int64(len(text)))
	if words := lastLines(string(text[:n])); words != "" {
		return fmt.Errorf("%w: %s", status, words)
	}
	return status
}

// lastLines are the last lines of a program's output, made one.
func lastLines(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	return oneLine(strings.Join(lines[max(0, len(lines)-maxLines):], "; "))
}

// oneLine makes text from elsewhere fit for an error or a log: no line breaks, no control characters.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	return strings.Join(strings.Fields(text), " ")
}
