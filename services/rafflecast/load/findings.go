package load

import "fmt"

// findings are what a verification found.
type findings struct {
	rows            int64 // that were compared
	missing         int64 // acknowledged requests without a row
	altered         int64 // acknowledged requests whose row has another member or ordinal
	contradicted    int64 // requests whose answers name two entries, or an entry and a refusal
	duplicates      int64 // rows of a request that has another row
	refused         int64 // rows of requests that were refused, and never acknowledged
	unrequested     int64 // rows of no request
	miscounted      int64 // raffles whose counters differ from their rows
	overLimit       int64 // members with more entries than allowed
	outsideOpenTime int64 // rows
}

func (f *findings) lost() int64 { return f.missing + f.altered }

func (f *findings) doubled() int64 {
	return f.contradicted + f.duplicates + f.refused + f.unrequested
}

func (f *findings) counterWrong() int64 { return f.miscounted + f.overLimit + f.outsideOpenTime }

// err returns an error if anything is wrong.
func (f *findings) err() error {
	if f.lost()+f.doubled()+f.counterWrong() == 0 {
		return nil
	}
	return fmt.Errorf("the database differs from what was acknowledged: %d lost, %d doubled, %d counted wrong",
		f.lost(), f.doubled(), f.counterWrong())
}
