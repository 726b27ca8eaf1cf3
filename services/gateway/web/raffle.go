package web

import (
	"net/http"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// raffleView is a raffle as its page shows it.
type raffleView struct {
	*raffle
	Hero     hero
	Prizes   string
	Sentence string
	StubNote string // why nobody can enter; empty if they can
	Limit    string // how often a member may enter
	CountKey string // what the countdown leads to; empty without one
	Count    string
	AsOf     string
}

// raffle answers with the page of a raffle, or with its stage.
func (s *site) raffle(w http.ResponseWriter, r *http.Request) error {
	u, err := s.source.Raffle(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	now, t := time.Now(), textsOf(r)
	view, err := t.viewOf(u, now)
	if err != nil {
		return err
	}
	path := "/raffle/" + r.PathValue("id")
	p := &page{
		T: t, Title: view.Title, Description: description(view), Origin: s.source.Origin(r),
		Path: path, StagePath: path + "?stage", Live: true, Raffle: view,
	}
	if p.CanEnter, p.NeedsToken = s.source.Entering(); !p.CanEnter && view.StubNote == "" {
		view.StubNote = t.Get("elsewhere")
	}
	p.Data = data{
		Lang: t.lang, Now: now.UTC().Format(odds.TimeFormat), Odds: view.json,
		Course: pairs(s.source.Course(u.RaffleID)), NeedsToken: p.NeedsToken,
	}
	if r.URL.Query().Has("stage") {
		p.Stage, p.Path, p.StagePath, p.Address = true, path+"?stage", path, p.Origin+path
		if p.QR, err = qrCode(p.Address); err != nil {
			return err
		}
	}
	return write(w, r, render(rafflePage, p), u.MembersOnly)
}

func (t *texts) viewOf(u *odds.Update, now time.Time) (*raffleView, error) {
	o, err := raffleOf(u)
	if err != nil {
		return nil, err
	}
	v := &raffleView{
		raffle: o, Prizes: t.prizes(o), Sentence: t.sentence(o), StubNote: t.stubNote(o),
		Limit: t.Get("limit", "n", o.MaxEntriesPerMember), AsOf: t.formatTime(now),
	}
	if v.Hero, err = t.heroOf(o, now); err != nil {
		return nil, err
	}
	if key, moment := o.countdown(); moment != nil {
		v.CountKey, v.Count = key, t.until(*moment, now)
	}
	return v, nil
}

// description describes a raffle to whom its address is sent.
func description(v *raffleView) string {
	parts := []string{v.Hero.Figure}
	if v.Hero.Label != "" {
		parts[0] = v.Hero.Label + " " + v.Hero.Figure
	}
	return join(append(parts, v.Sentence), " · ")
}
