package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"
)

// saidName is the name of the cookie by which the answer to a form, a redirect, tells the
// next page what became of the entry. In the address it could be sent to others, who would
// read that they have entered.
const saidName = "rafflecast-said"

// saidSeconds is how long that cookie stays if no page reads it.
const saidSeconds = 60

// Outcomes of a form beside the reasons of refusals.
const (
	entered     = "ENTERED"
	unreachable = "UNREACHABLE"
	nameMissing = "NAME_MISSING"
)

// refusals are the keys of what to say about a refusal, by its reason. The script has the
// same ones.
var refusals = func() (keys map[string]string) {
	if err := json.Unmarshal(mustRead("text/refusals.json"), &keys); err != nil {
		panic(err)
	}
	return keys
}()

// formOutcome is what the page says of the entry that its form has made.
type formOutcome struct {
	Kind, Text string
	requestID  string // of an entry of which it is unknown whether it was placed; or empty
}

// newRequestID returns the id of the entry that the form of a page makes. Caches give the
// same page to several visitors, which does no harm: request ids tell the requests of one
// member in one raffle apart.
func newRequestID() string { return uuid.NewString() }

// enter takes the form of a raffle's page from browsers without scripts, sends the entry
// on, and leads back to the page, so that a reload does not send the form again.
func (s *site) enter(w http.ResponseWriter, r *http.Request) error {
	u, err := s.source.Raffle(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	possible, needsToken := s.source.Entering()
	if !possible {
		return errNothing()
	}
	path := "/raffle/" + strconv.FormatInt(u.RaffleID, 10)
	outcome := url.Values{"is": {nameMissing}}
	if memberID := r.PostFormValue("memberId"); memberID != "" || needsToken {
		outcome = s.place(r, u.RaffleID, memberID, r.PostFormValue("requestId"))
	}
	setSaid(w, path, outcome.Encode(), saidSeconds)
	w.Header().Set("Location", path+"#enter-message")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// place sends an entry on, and returns its outcome as the cookie holds it.
func (s *site) place(r *http.Request, raffleID int64, memberID, requestID string) url.Values {
	entry, err := json.Marshal(struct {
		MemberID  string `json:"memberId,omitempty"`
		RequestID string `json:"requestId"`
	}{memberID, requestID})
	if err != nil {
		panic(err) // strings can be encoded
	}
	status, body := s.source.Enter(r, raffleID, entry)
	var answer struct {
		MemberEntries int64
		Entry         struct{ Ticket json.Number }
		Error         struct{ Reason string }
	}
	switch err := json.Unmarshal(body, &answer); {
	case err != nil || status >= http.StatusInternalServerError:
		return url.Values{"is": {unreachable}, "request": {requestID}}
	case status != http.StatusOK:
		return url.Values{"is": {answer.Error.Reason}}
	}
	return url.Values{
		"is": {entered}, "n": {strconv.FormatInt(answer.MemberEntries, 10)}, "ticket": {answer.Entry.Ticket.String()},
	}
}

// saidOf returns what to say of the visitor's last form, once, or nil. Others can set the
// cookie, such as a site whose name ends as ours does. So it chooses among texts of ours,
// and has numbers and an id for them, and no text.
func (t *texts) saidOf(w http.ResponseWriter, r *http.Request) *formOutcome {
	cookie, err := r.Cookie(saidName)
	if err != nil {
		return nil
	}
	setSaid(w, r.URL.Path, "", -1)
	outcome, err := url.ParseQuery(cookie.Value)
	if err != nil {
		return nil
	}
	switch is := outcome.Get("is"); is {
	case entered:
		n, _ := strconv.ParseUint(outcome.Get("n"), 10, 63)
		text := t.Get("enteredByForm", "n", int64(n))
		if ticket, err := strconv.ParseUint(outcome.Get("ticket"), 10, 63); err == nil {
			text += " " + t.Get("enteredTicket", "ticket", strconv.FormatUint(ticket, 10))
		}
		return &formOutcome{Kind: "good", Text: text}
	case unreachable:
		request := outcome.Get("request")
		if uuid.Validate(request) != nil {
			request = ""
		}
		return &formOutcome{Kind: "bad", Text: t.Get("unreachable"), requestID: request}
	case nameMissing:
		return &formOutcome{Kind: "name", Text: t.Get("nameNeeded")}
	default:
		key, ok := refusals[is]
		if !ok {
			key = "refused"
		}
		return &formOutcome{Kind: "bad", Text: t.Get(key)}
	}
}

func setSaid(w http.ResponseWriter, path, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // no secret, and also over plain HTTP
		Name: saidName, Value: value, Path: path, MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}
