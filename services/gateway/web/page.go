package web

import (
	"bytes"
	"html/template"
	"net/http"
	"net/url"
)

// page is what a template renders. One of Raffle and List is set, or neither for an error.
type page struct {
	T           *texts
	Title       string
	Description string
	Origin      string // scheme and host, as the visitor's browser sees them
	Path        string // with the query that matters; empty for an error
	Style       template.CSS
	Script      string
	Data        any  // for the script; without it the page has none
	Live        bool // the script keeps it current
	IsList      bool
	Stage       bool   // for a screen on a wall
	StagePath   string // of the stage, or from it back to the raffle

	Raffle     *raffleView
	CanEnter   bool
	RequestID  string       // of the entry that the form makes
	Said       *formOutcome // what became of the last one
	NeedsToken bool
	QR         template.HTML
	Address    string

	List *listView
}

// Languages returns the languages that a visitor can choose.
func (p *page) Languages() []*texts { return languages }

// PathIn returns the path of the page in another language.
func (p *page) PathIn(lang string) string {
	u, err := url.Parse(p.Path)
	if err != nil {
		return "/"
	}
	query := u.Query()
	query.Set(langName, lang)
	return u.Path + "?" + query.Encode()
}

var (
	layout      = template.Must(template.ParseFS(embedded, "html/layout.html"))
	rafflePage  = mustParse("html/raffle.html")
	listPage    = mustParse("html/list.html")
	errorPage   = mustParse("html/error.html")
	pageStyle   = template.CSS(mustRead("bundle/style.css")) //nolint:gosec // it is ours
	pageScript  = mustLoadHashed("bundle/page.js")
	styleSource = "'sha256-" + hashBase64(string(pageStyle)) + "'"
)

func mustParse(name string) *template.Template {
	return template.Must(template.Must(layout.Clone()).ParseFS(embedded, name))
}

// render executes a template. It panics if that fails, which is a defect of the template:
// the buffer takes everything.
func render(of *template.Template, p *page) []byte {
	p.Style, p.Script = pageStyle, "/"+pageScript.name
	var b bytes.Buffer
	if err := of.Execute(&b, p); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// shared returns the content of a page, which others may get as well, unless only this
// visitor may see it. of is what is shown.
func (s *site) shared(p *page, of any, isPrivate bool, render func() ([]byte, error)) (*content, error) {
	if isPrivate {
		body, err := render()
		return privateContent(body), err
	}
	return s.pages.get(pageKey{p.Path, p.T.lang, p.Origin, of}, render)
}

// write answers with a page. Caches may keep it for a second, unless only this visitor may
// see it.
func write(w http.ResponseWriter, r *http.Request, body *content, isPrivate bool) error {
	rememberLanguage(w, r)
	header := w.Header()
	header.Set("Content-Type", contentTypes[".html"])
	header.Set("Cache-Control", "public, max-age=1")
	if isPrivate {
		header.Set("Cache-Control", "private, no-store")
	}
	header.Add("Vary", "Accept-Language, Authorization, Cookie")
	return body.serve(w, r)
}
