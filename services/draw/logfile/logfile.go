// Package logfile reads and writes the records of a log as they are served and kept in a
// file: each as its length in four bytes, big-endian, and its bytes.
package logfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// maxRecord is draw.MaxRecord.
const maxRecord = 64 << 10

// PageSize is how many records a page of a served log has.
const PageSize = 4096

// Append appends a record to a log's file or page: u32be length ‖ record.
func Append(b, record []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(record))), record...)
}

// Records reads the records of a log's file or page. Each is valid until the next.
func Records(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in, buf := bufio.NewReaderSize(r, 1<<16), make([]byte, maxRecord)
		for {
			_, err := io.ReadFull(in, buf[:4])
			if errors.Is(err, io.EOF) {
				return
			}
			size := binary.BigEndian.Uint32(buf)
			if err == nil && (size < 1 || size > maxRecord) {
				err = fmt.Errorf("the length of a record is within 1 and %d, not %d", maxRecord, size)
			}
			if err == nil {
				_, err = io.ReadFull(in, buf[:size])
			}
			if err != nil {
				yield(nil, fmt.Errorf("the log can't be read on: %w", err))
				return
			}
			if !yield(buf[:size], nil) {
				return
			}
		}
	}
}
