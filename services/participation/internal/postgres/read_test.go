package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// A database in another encoding than UTF-8 can hold such a title, and no message can.
func TestRow_TitlesAreUTF8(t *testing.T) {
	t.Parallel()
	n := func(v int64) pgtype.Int8 { return pgtype.Int8{Int64: v, Valid: true} }
	text := func(s string) pgtype.Text { return pgtype.Text{String: s, Valid: true} }
	r := row{
		id: n(7), winners: n(1), maxEntries: n(1), state: n(2), entries: n(3), members: n(2), version: n(4), title: text("A\xff"), epoch: text("k3"),
		visibility: n(1), rule: n(1), alternates: n(0), drawing: n(0), round: n(0), description: text(""), pictureURL: text(""), checkpoint: text(""),
	}
	if _, err := r.raffle(); err == nil || err.RaffleID != 7 || err.Column != "title" || err.Value != `"A\xff"` {
		t.Errorf("got %v", err)
	}
	r.title = text("A\n\u202e")
	if got, err := r.raffle(); err != nil || got.Title != r.title.String || got.EntryCount != 3 || got.Epoch != "k3" {
		t.Errorf("%+v, %v", got, err)
	}
}
