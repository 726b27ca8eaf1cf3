package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/text/language"
)

// texts holds the page's texts in one language, by key. The script has the same ones.
type texts struct {
	lang   string
	byName map[string]text
}

// text is a text with {placeholders}. Where the number n matters, one is for n = 1, and
// other for the rest.
type text struct{ one, other string }

// UnmarshalJSON reads a text: a string, or an object with "one" and "other".
func (t *text) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &t.other); err == nil {
		t.one = t.other
		return nil
	}
	var plural struct{ One, Other string }
	if err := json.Unmarshal(data, &plural); err != nil {
		return fmt.Errorf("text %s: %w", data, err)
	}
	t.one, t.other = plural.One, plural.Other
	return nil
}

// languages are those of the page; the first is for visitors who accept none of them.
var (
	languages = []*texts{mustLoadTexts("en"), mustLoadTexts("ko")}
	matcher   = language.NewMatcher([]language.Tag{language.English, language.Korean})
)

func mustLoadTexts(lang string) *texts {
	t := &texts{lang: lang}
	if err := json.Unmarshal(mustRead("text/"+lang+".json"), &t.byName); err != nil {
		panic(err)
	}
	return t
}

// langName is the name of the parameter and of the cookie by which a visitor chooses a
// language.
const langName = "lang"

// textsOf returns the texts for whoever sends a request: in the language that is chosen
// in the address or was chosen earlier, or else that the browser prefers.
func textsOf(r *http.Request) *texts {
	chosen := r.URL.Query().Get(langName)
	if cookie, err := r.Cookie(langName); chosen == "" && err == nil {
		chosen = cookie.Value
	}
	for _, t := range languages {
		if t.lang == chosen {
			return t
		}
	}
	_, index := language.MatchStrings(matcher, r.Header.Get("Accept-Language"))
	return languages[index]
}

// rememberLanguage sets the cookie of a language that is chosen in the address.
func rememberLanguage(w http.ResponseWriter, r *http.Request) {
	chosen := r.URL.Query().Get(langName)
	for _, t := range languages {
		if t.lang == chosen {
			http.SetCookie(w, &http.Cookie{ //nolint:gosec // no secret, and also over plain HTTP
				Name: langName, Value: chosen, Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode,
			})
		}
	}
}

// Get returns the text of a key, with values for its placeholders: names and values in
// turn. Numbers are grouped. A value named n chooses between one and other.
func (t *texts) Get(key string, values ...any) string {
	found, ok := t.byName[key]
	if !ok {
		panic("no text " + key) // a defect, which the tests of all states find
	}
	phrase := found.other
	var pairs []string
	for i := 0; i+1 < len(values); i += 2 {
		name, value := values[i].(string), values[i+1]
		n, isNumber := value.(int64)
		if isNumber {
			value = formatInteger(n)
		}
		if name == "n" && isNumber && n == 1 {
			phrase = found.one
		}
		pairs = append(pairs, "{"+name+"}", fmt.Sprint(value))
	}
	return strings.NewReplacer(pairs...).Replace(phrase)
}

// Lang returns the language as in an html element's lang attribute.
func (t *texts) Lang() string { return t.lang }
