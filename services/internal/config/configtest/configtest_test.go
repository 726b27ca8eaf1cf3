package configtest

import (
	"slices"
	"strings"
	"testing"
	"time"
)

type settings struct {
	Count  int           `name:"count" env:"COUNT" default:"1" min:"1" max:"9" help:"Things."`
	Within time.Duration `name:"within" env:"WITHIN" default:"1s" min:"0s" max:"1m" help:"Time."`
}

func TestParse_TakesNoVariables(t *testing.T) {
	t.Setenv("COUNT", "5")
	var s settings
	if Parse(t, &s, "--within=2m"); s != (settings{1, 2 * time.Minute}) {
		t.Errorf("got %+v", s)
	}
}

func TestDeclarations_UnreadableDefault(t *testing.T) {
	t.Parallel()
	err := Declarations(&struct {
		Run struct {
			Pause time.Duration `name:"pause" env:"PAUSE" default:"1" min:"0s" max:"1m" help:"Time."`
		} `cmd:"" help:"Run."`
	}{})
	if err == nil || !strings.Contains(err.Error(), "--pause") {
		t.Errorf("got %v", err)
	}
}

func TestDeclarations_SayWhatIsWrong(t *testing.T) {
	t.Parallel()
	err := Declarations(&struct {
		Run struct {
			Settings settings `embed:""`
			Only     string   `name:"only" env:"ONLY" required:"" form:"a name" help:"What to take."`
			Migrate  bool     `name:"migrate" env:"MIGRATE" help:"Migrate."`
			Title    string   `name:"title" per-call:"" form:"a title" help:"Title."`
		} `cmd:"" help:"Run."`
	}{})
	if err != nil {
		t.Errorf("good ones: %v", err)
	}
	err = Declarations(&struct {
		Run struct {
			Count  int           `name:"count" env:"COUNT" default:"10" min:"1" max:"9" help:"Things."`
			Within time.Duration `name:"within" env:"WITHIN" default:"1s" help:"Time."`
			Only   string        `name:"only" form:"a name" help:"what to take"`
			Place  string        `name:"place" env:"PLACE" help:"Place."`
			Title  string        `name:"title" env:"TITLE" per-call:"" form:"a title" help:"Title."`
		} `cmd:"" help:"Run."`
	}{})
	if err == nil {
		t.Fatal("bad ones: no error")
	}
	got := strings.Split(err.Error(), "\n")
	slices.Sort(got)
	want := []string{
		"run --only: it has no environment variable",
		"run --only: its help is no sentence: what to take",
		"run --place: it has no bounds: ",
		"run --title: it is about one call and has an environment variable",
		"run --within: it has no bounds: ",
		"run: a default: --count=10: must be 1 to 9",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
