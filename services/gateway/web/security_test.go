package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The content security policy forbids these, which only a browser would notice.
func TestPages_HaveNothingInlineThatRuns(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/", "/raffle/1", "/raffle/1?stage", "/nothing", "/raffle/3"} {
		page := get(t, http.MethodGet, target, fromBrowser)
		body := page.Body.String()
		scripts := regexp.MustCompile(`(?is)<script([^>]*)>(.*?)</script>`)
		for _, script := range scripts.FindAllStringSubmatch(body, -1) {
			isData := script[1] == ` type="application/json" id="data"`
			if !isData && (!strings.Contains(script[1], `src="/assets/`) || script[2] != "") {
				t.Errorf("inline script: %s", script[0])
			}
		}
		style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(body)
		hash := sha256.Sum256([]byte(style[1]))
		if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, base64.StdEncoding.EncodeToString(hash[:])) {
			t.Errorf("%s: the policy %s does not allow the page's style", target, policy)
		}
		for what, pattern := range map[string]string{
			"a style attribute": `(?i)<[^>]*\sstyle\s*=`,
			"an event handler":  `(?i)<[^>]*\son[a-z]+\s*=`,
			"a javascript URL":  `(?i)javascript:`,
		} {
			if found := regexp.MustCompile(pattern).FindString(strings.ReplaceAll(body, style[0], "")); found != "" {
				t.Errorf("%s has %s: %q", target, what, found)
			}
		}
	}
}

// Others write a raffle's title, so no script may read text as markup or as code.
func TestScripts_NeverReadMarkup(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|` +
		`document\.write|\beval\(|new Function`)
	for name, body := range files(t) {
		if found := forbidden.FindString(body); found != "" {
			t.Errorf("%s uses %s", name, found)
		}
	}
}

func TestReferences_StayOnThisHost(t *testing.T) {
	t.Parallel()
	address := regexp.MustCompile(`(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s"]*`)
	for name, body := range files(t) {
		for _, found := range address.FindAllString(body, -1) {
			if found != "http://www.w3.org/2000/svg" {
				t.Errorf("%s refers to %s", name, found)
			}
		}
	}
	reference := regexp.MustCompile(`(?:src|href)="(/[^"]*)"`)
	for _, match := range reference.FindAllStringSubmatch(get(t, http.MethodGet, "/raffle/1", nil).Body.String(), -1) {
		wantStatus(t, get(t, http.MethodGet, strings.ReplaceAll(match[1], "&amp;", "&"), nil), http.StatusOK)
	}
}

// files returns the pages and the assets by name.
func files(t *testing.T) map[string]string {
	t.Helper()
	bodies := map[string]string{}
	for _, name := range slices.Concat(glob(t, "assets/*.js"), glob(t, "assets/*.css"), glob(t, "html/*"), glob(t, "bundle/*")) {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		bodies[name] = string(body)
	}
	return bodies
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(names), err)
	}
	return names
}
