package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/browser"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

const (
	clientDirectory = "../../gateway/web/client"
	embedDirectory  = "../../../examples/embed"
	// gatewayInTexts is the gateway's address in READMEs and examples.
	gatewayInTexts = "http://localhost:9998"
)

// snippet returns the code block of the client's README that contains a text, for the
// gateway at an address.
func snippet(t *testing.T, contains, gateway string) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(clientDirectory, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```(?:js|html)\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		if strings.Contains(block[1], contains) {
			return strings.ReplaceAll(block[1], gatewayInTexts, gateway)
		}
	}
	t.Fatalf("README.md has no code with %q", contains)
	return ""
}

// packed are the files of the package.
var packed = []string{
	"README.md", "connection.js", "element.d.ts", "element.js", "package.json", "rafflecast.d.ts", "rafflecast.js", "sse.js", "tabs.js",
}

// npm packs the client without a network, and the README's code for Node.js runs with what
// is in the package.
func TestWatchPackage_RunsInNode(t *testing.T) {
	t.Parallel()
	node, npm := testenv.NeedProgram(t, "node"), testenv.NeedProgram(t, "npm")
	dir := t.TempDir()
	pack := exec.CommandContext(t.Context(), npm, "pack", "--json", "--offline", "--ignore-scripts", "--pack-destination", dir)
	pack.Dir, pack.Stderr = clientDirectory, t.Output()
	out, err := pack.Output()
	if err != nil {
		t.Fatalf("npm pack: %v", err)
	}
	var packages []struct {
		Filename string
		Files    []struct{ Path string }
	}
	if err := json.Unmarshal(out, &packages); err != nil || len(packages) != 1 {
		t.Fatalf("npm pack: %v\n%s", err, out)
	}
	var names []string
	for _, file := range packages[0].Files {
		names = append(names, file.Path)
	}
	if slices.Sort(names); !slices.Equal(names, packed) {
		t.Errorf("the package has %q, want %q", names, packed)
	}
	installed := filepath.Join(dir, "node_modules", "@rafflecast", "watch")
	if err := os.MkdirAll(installed, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, filepath.Base(packages[0].Filename))
	if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", name, "-C", installed, "--strip-components=1").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}

	b := setup(t)
	for want := range int64(2) {
		if id := b.client.create(t, "Signed guitar", 1); id != want+1 {
			t.Fatalf("the raffle's id is %d", id)
		}
		b.awaitRaffle(t, want+1)
	}
	script := filepath.Join(dir, "watch.mjs")
	if err := os.WriteFile(script, []byte(snippet(t, `"@rafflecast/watch"`, b.web)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, script)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	next := func() string {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("it ended: %v", cmd.Wait())
		}
		return lines.Text()
	}
	first := []string{next(), next()}
	if slices.Sort(first); !slices.Equal(first, []string{"1 1 null", "2 1 null"}) {
		t.Errorf("it prints %q first", first)
	}
	b.client.enter(t, 2, "7")
	if line := next(); line != "2 2 100" {
		t.Errorf("it prints %q after an entry", line)
	}
	// A watch that is closed keeps nothing running.
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// shop is a page of another origin than the gateway's, which serves the files of a
// directory, or else a page, for the gateway that reads at its address.
func startShop(t *testing.T, directory string, b *testBundle, page *string) *httptest.Server {
	t.Helper()
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page != nil {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<!doctype html><html lang=en><title>Shop</title><body>", *page)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		body, err := os.ReadFile(filepath.Join(directory, filepath.Base(name)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		types := map[string]string{".html": "text/html; charset=utf-8", ".css": "text/css"}
		w.Header().Set("Content-Type", types[filepath.Ext(name)])
		fmt.Fprint(w, strings.ReplaceAll(string(body), gatewayInTexts, b.web))
	}))
	t.Cleanup(shop.Close)
	return shop
}

// setupShop starts the services with a gateway that lets the shop's pages read odds.
func setupShop(t *testing.T, directory string, page *string) (*testBundle, *httptest.Server) {
	t.Helper()
	b := &testBundle{}
	shop := startShop(t, directory, b, page)
	*b = *setupWith(t, nil, []string{"GATEWAY_CORS_ORIGINS=" + shop.URL})
	id := b.client.create(t, "Signed <b>guitar</b>", 1)
	b.awaitRaffle(t, id)
	return b, shop
}

func TestREADME_WatchesFromAPageOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	var page string
	b, shop := setupShop(t, "", &page)
	page = snippet(t, "watchOdds", b.web)
	tab := browser.Start(t, "en-US")
	tab.Open(shop.URL)
	tab.Await(`document.documentElement.dataset.odds === "live"`)
	b.client.enter(t, 1, "7")
	tab.Await(`document.title === "Signed <b>guitar</b>: 1 entries, 50 %% if you enter now"`)
}

// A page of an origin that is allowed reads a raffle for members with a token of its own; the
// page of another origin does not.
func TestWatch_ReadsForMembersFromAnAllowedOrigin(t *testing.T) {
	t.Parallel()
	b, page := &testBundle{}, ""
	allowed, refused := startShop(t, "", b, &page), startShop(t, "", b, &page)
	key := tokentest.NewKey(t, "1")
	auth := []string{"AUTH_JWKS=" + tokentest.File(t, key), "AUTH_ISSUER=" + tokentest.Issuer}
	*b = *setupWith(t, auth, append(auth, "GATEWAY_CORS_ORIGINS="+allowed.URL))
	operator := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key.Token("ann", "operator"))
	made, err := b.client.raffles.CreateRaffle(operator, &rafflev1.CreateRaffleRequest{Title: "Signed guitar", Winners: 1, Visibility: rafflev1.Raffle_MEMBERS})
	if err != nil {
		t.Fatal(err)
	}
	id := made.GetRaffle().GetId()
	testenv.AwaitStatus(t, fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, id), http.StatusUnauthorized)
	page = fmt.Sprintf(`<script type="module">
		import { watchOdds } from "%[1]s/client/rafflecast.js";
		watchOdds({
			url: "%[1]s", ids: [%[2]d], headers: { Authorization: "Bearer %[3]s" },
			onOdds: ({ title }) => document.title = title,
			onState: ({ state }) => document.documentElement.dataset.odds = state,
		});
	</script>`, b.web, id, key.Token("7", "member"))
	tab := browser.Start(t, "en-US")
	tab.Open(allowed.URL)
	tab.Await(`document.documentElement.dataset.odds === "live" && document.title === "Signed guitar"`)
	tab.Open(refused.URL)
	tab.Await(`document.documentElement.dataset.odds === "offline" && document.title === "Shop"`)
}

// The element shows the odds on a page of another origin with a content security policy.
func TestElement_ShowsOddsInAShop(t *testing.T) {
	t.Parallel()
	b, shop := setupShop(t, embedDirectory, nil)
	tab := browser.Start(t, "en-US")
	tab.Open(shop.URL)
	const text = `[...document.querySelectorAll("rafflecast-odds")].map((one) => one.shadowRoot?.querySelector("[part~=%s]").textContent).join("|") === %q`
	tab.Await(text, "chance", "Every entry wins|모든 응모 당첨")
	tab.Evaluate(`document.querySelector("rafflecast-odds").addEventListener("odds", ({ detail }) => window.fired = detail.version)`)
	for i := range int64(3) {
		b.client.enter(t, 1, fmt.Sprint("member-", i))
	}
	tab.Await(text, "chance", "1 in 4 (25%)|4건 중 1건 당첨 (25%)")
	tab.Await(`window.fired === 4`)
	tab.Await(text, "title", "Signed <b>guitar</b>|Signed <b>guitar</b>")
	tab.Await(text, "label", "If you enter now|지금 응모하면")
	tab.Await(text, "counts", "Members: 3 · entries: 3 · winners: 1|참여 3명 · 응모 3건 · 당첨 1명")
	tab.Await(text, "status", "|")

	// Its own style and the shop's apply.
	const style = `getComputedStyle(document.querySelector("rafflecast-odds").shadowRoot.querySelector("[part~=chance]")).%s === %q`
	tab.Await(style, "fontWeight", "700")
	tab.Await(style, "fontSize", "40px")
	tab.Await(style, "color", "rgb(165, 64, 31)")

	// It says nothing by itself, and what it shows are words.
	tab.Await(`!document.querySelector("rafflecast-odds").shadowRoot.querySelector("[aria-live], [role], img, b")`)

	b.client.closeRaffle(t, 1)
	tab.Await(text, "chance", "Entries are closed|응모가 마감됐어요")
	tab.Await(text, "label", "|")

	// Another raffle takes its place, and one that is taken off the page is let go.
	other := b.client.create(t, "Signed drum", 1)
	b.awaitRaffle(t, other)
	tab.Evaluate(fmt.Sprintf(`document.querySelector("rafflecast-odds").setAttribute("raffle", %d); document.querySelectorAll("rafflecast-odds")[1].remove()`, other))
	tab.Await(text, "title", "Signed drum")
	tab.Evaluate(`document.querySelector("rafflecast-odds").setAttribute("raffle", "drum")`)
	tab.Await(text, "status", "There is no such raffle")
	tab.Await(text, "title", "")
}
