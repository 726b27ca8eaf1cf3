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
	p := &page{T: textsOf(r), Origin: s.source.Origin(r), Live: true}
	path := "/raffle/" + r.PathValue("id")
	p.Path, p.StagePath = path, path+"?stage"
	if p.Stage = r.URL.Query().Has("stage"); p.Stage {
		p.Path, p.StagePath, p.Address = p.StagePath, p.Path, p.Origin+path
	}
	p.RequestID, p.Said = newRequestID(), p.T.saidOf(w, r)
	if p.Said != nil && p.Said.requestID != "" {
		p.RequestID = p.Said.requestID
	}
	isPrivate := u.MembersOnly || p.Said != nil
	body, err := s.shared(p, u, isPrivate, func() ([]byte, error) { return s.renderRaffle(p, u) })
	if err != nil {
		return err
	}
	return write(w, r, body, isPrivate)
}

// renderRaffle completes a page with a raffle, and renders it.
func (s *site) renderRaffle(p *page, u *odds.Update) (_ []byte, err error) {
	now, t := time.Now(), p.T
	view, err := t.viewOf(u, now)
	if err != nil {
		return nil, err
	}
	p.Raffle, p.Title, p.Description = view, view.Title, description(view)
	if p.CanEnter, p.NeedsToken = s.source.Entering(); !p.CanEnter && view.StubNote == "" {
		view.StubNote = t.Get("elsewhere")
	}
	p.Data = data{
		Lang: t.lang, Now: now.UTC().Format(odds.TimeFormat), Odds: view.json,
		Course: pairs(s.source.Course(u.RaffleID)), NeedsToken: p.NeedsToken,
	}
	if p.Stage {
		if p.QR, err = qrCode(p.Address); err != nil {
			return nil, err
		}
	}
	return render(rafflePage, p), nil
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
