package load

import "fmt"

// findings are what a verification found, in requests, rows, raffles or members.
type findings struct {
	rows         int64
	missing      int64 // acknowledged requests without a row
	altered      int64 // acknowledged requests whose row is of another member or ordinal
	contradicted int64 // requests whose answers name two entries, or an entry and a refusal
	duplicates   int64 // rows of a request that has another row
	unwanted     int64 // rows of requests that were refused, and never acknowledged
	strangers    int64 // rows of no request
	miscounted   int64 // raffles
	above        int64 // members with more entries than allowed
	untimely     int64 // rows
}

func (f *findings) lost() int64 { return f.missing + f.altered }

func (f *findings) doubled() int64 {
	return f.contradicted + f.duplicates + f.unwanted + f.strangers
}

func (f *findings) counterWrong() int64 { return f.miscounted + f.above + f.untimely }

// err returns an error where anything is wrong; nil findings are not verified.
func (f *findings) err() error {
	if f == nil || f.lost()+f.doubled()+f.counterWrong() == 0 {
		return nil
	}
	return fmt.Errorf("the database differs from what was acknowledged: %d lost, %d doubled, %d counted wrong",
		f.lost(), f.doubled(), f.counterWrong())
}
