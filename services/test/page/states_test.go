package page

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/browser"
)

// state is a state of the page, with what must be its largest text.
type state struct {
	name   string
	change func(*rafflev1.Odds)
	own    int    // entries of the visitor
	figure string // a regular expression
	korean string // likewise
}

var states = []state{
	{name: "scheduled", change: func(o *rafflev1.Odds) {
		o.State, o.Entries, o.Members, o.OpensAt, o.LogSize = rafflev1.Raffle_SCHEDULED, 0, 0, in(50*time.Hour), 1
		o.ClosesAt = in(98 * time.Hour)
	}, figure: `^2 days 1 hr$`, korean: `^2일 1시간$`},
	{name: "first", change: func(o *rafflev1.Odds) { o.Entries, o.Members, o.LogSize = 0, 0, 1 }, figure: `^100%$`, korean: `^100%$`},
	{name: "open", change: func(*rafflev1.Odds) {}, figure: `^1 in 14$`, korean: `^1/14$`},
	{name: "in", change: func(*rafflev1.Odds) {}, own: 3, figure: `^20.4%$`, korean: `^20.4%$`},
	{name: "last-minute", change: func(o *rafflev1.Odds) { o.ClosesAt = in(45 * time.Second) }, figure: `^1 in 14$`, korean: `^1/14$`},
	{name: "closed", change: func(o *rafflev1.Odds) {
		o.State, o.ClosesAt, o.DrawsAt = rafflev1.Raffle_CLOSED, in(-time.Minute), in(4*time.Minute)
	}, own: 1, figure: `^[0-9]+:[0-9]{2}`, korean: `[0-9]+:[0-9]{2}$`},
	{name: "won", change: drawn(8, 21, 40), own: 3, figure: `^You won!$`, korean: `^당첨됐어요!$`},
	{name: "lost", change: drawn(1, 21, 40), own: 1, figure: `^Not this time$`, korean: `^아쉽게도 미당첨$`},
	{name: "drawn", change: drawn(1, 21, 40), figure: `^3 winners$`, korean: `^당첨 3명$`},
	{name: "cancelled", change: func(o *rafflev1.Odds) { o.State = rafflev1.Raffle_CANCELLED }, figure: `^Cancelled$`, korean: `^취소됐어요$`},
}

func drawn(tickets ...int64) func(*rafflev1.Odds) {
	return func(o *rafflev1.Odds) {
		o.State, o.ClosesAt, o.DrawsAt = rafflev1.Raffle_DRAWN, in(-6*time.Minute), in(-time.Minute)
		for i, ticket := range tickets {
			o.WinningTickets = append(o.WinningTickets, &rafflev1.WinningTicket{Ticket: ticket, Prize: min(int32(i)+1, 2)})
		}
	}
}

// grow lets a raffle grow to its entries, so that its page has a course to show.
func (b *bench) grow(o *rafflev1.Odds) {
	b.t.Helper()
	end := o.GetEntries()
	last := o.At.AsTime()
	final := o.State
	o.State = rafflev1.Raffle_OPEN
	for i := int64(1); i < end; i++ {
		o.Entries, o.Members = i, i
		// More and more members enter, over the last two hours.
		o.At.Seconds = last.Unix() - 7200 + 7200*i*(2*end-i)/(end*end)
		b.publish(o)
		o.Version++
	}
	o.State, o.Entries, o.Members, o.At.Seconds = final, end, max(end-2, 0), last.Unix()
	b.publish(o)
}

const figure = `document.querySelector("#figure").firstElementChild.textContent`

// TestPage_AnswersInEveryState looks at every state in both languages: at its largest text,
// which must be the largest, and by axe for what keeps people from using it.
func TestPage_AnswersInEveryState(t *testing.T) {
	t.Parallel()
	b := setup(t, withEntering)
	axe := readAxe(t)
	for round, language := range []string{"en-US", "ko-KR"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			tab := browser.Start(t, language)
			for i, s := range states {
				b := &bench{t: t, odds: b.odds, web: b.web}
				id := int64(100*round + i + 1)
				b.grow(raffle(id, s.change))
				b.await(id)
				b.keep(tab, id, s.own)
				tab.Open(b.url(id))
				want := map[string]string{"en-US": s.figure, "ko-KR": s.korean}[language]
				tab.Await(`document.querySelector("#raffle")?.dataset.version && new RegExp(%q).test(%s)`, want, figure)
				tab.Await(`document.documentElement.lang === %q`, language[:2])
				largest(tab)
				if wrong := axe.run(tab); wrong != "" {
					t.Errorf("%s: %s", s.name, wrong)
				}
				takePictures(tab, s.name, language)
				tab.Media("", "prefers-color-scheme", "dark")
				if wrong := axe.run(tab); wrong != "" {
					t.Errorf("%s in the dark: %s", s.name, wrong)
				}
				if language == "en-US" {
					takePicture(tab, s.name+"-dark", 1200, 860)
				}
				tab.Media("")
			}
		})
	}
}

// largest waits until no text on the page is larger than the figure.
func largest(tab *browser.Tab) {
	tab.Await(`(() => {
		const size = (element) => parseFloat(getComputedStyle(element).fontSize);
		const figure = document.querySelector("#figure");
		return [...document.querySelectorAll("main *")].every((element) => figure.contains(element) ||
			element.closest(".last-minute .rest") || !element.checkVisibility() || size(element) <= size(figure));
	})()`)
}

// takePictures takes the pictures of a state.
func takePictures(tab *browser.Tab, name, language string) {
	if language == "ko-KR" {
		takePicture(tab, name+"-ko", 1200, 860)
		return
	}
	takePicture(tab, name, 1200, 860)
	takePicture(tab, name+"-phone", 390, 1000)
}

// takePicture takes a picture of the page, if SCREENSHOTS names the directory of pictures:
// make pictures does that.
func takePicture(tab *browser.Tab, name string, width, height int64) {
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		tab.Picture(filepath.Join(dir, name+".png"), width, height, 1)
	}
}

// TestShareCard_Picture takes the picture that is shown where somebody posts the address of
// a page.
func TestShareCard_Picture(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		t.Skip("SCREENSHOTS is not set: make pictures takes the picture")
	}
	source, err := filepath.Abs("../../gateway/web/pictures/share.html")
	if err != nil {
		t.Fatal(err)
	}
	tab := browser.Start(t, "en-US")
	tab.Open("file://" + source)
	tab.Picture(filepath.Join(dir, "../assets/share.png"), 1200, 630, 1)
}
