package contract_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// examples/node enters a member, and tells why the raffle refuses another entry.
func TestNodeExample_EntersAMember(t *testing.T) {
	t.Parallel()
	node := testenv.NeedProgram(t, "node")
	packages := nodePackages(t, "@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1")
	for _, dependency := range []string{`"@grpc/grpc-js": "1.14.7"`, `"@grpc/proto-loader": "0.8.1"`} {
		if !strings.Contains(readFile(t, "examples/node/package.json"), dependency) {
			t.Errorf("package.json does not depend on %s", dependency)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "enter.js"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(readFile(t, "examples/node/"+name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(packages, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	s := startParticipation(t)
	enter := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), node, "enter.js", needFolder(t), s.at.GRPC.String(), "1", "minji")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := enter(); err != nil || out != "minji has 1 of the raffle's 1 entries\n" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := enter(); err == nil || !strings.HasPrefix(out, "ENTRY_LIMIT_REACHED {") {
		t.Errorf("%q, %v", out, err)
	}
}

// The declarations of the client for browsers say what a caller in TypeScript may write.
func TestWatchPackage_HasTypes(t *testing.T) {
	t.Parallel()
	node := testenv.NeedProgram(t, "node")
	compiler := filepath.Join(nodePackages(t, "typescript@5.9.3"), "node_modules", "typescript", "bin", "tsc")
	dir := t.TempDir()
	client, err := filepath.Abs(filepath.Join(repository, "services/gateway/web/client"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "node_modules/@rafflecast"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(client, filepath.Join(dir, "node_modules/@rafflecast/watch")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"package.json": `{"type": "module"}`,
		"shop.ts": `import { isFinal, watchOdds, type Odds, type State } from "@rafflecast/watch";
import "@rafflecast/watch/element.js";
const show = (odds: Odds): string => odds.title + odds.winnerProbability?.toFixed(2) + isFinal(odds);
const watch = watchOdds({
	ids: [1, "2"], headers: async () => ({ Authorization: "Bearer x" }), timing: { hidden: 1 }, onOdds: show,
	onState: ({ state, reason, asOf }: State) => console.log(state === "live", reason, watch.now() - asOf),
});
watch.setIds(new Set([3]));
document.querySelector("rafflecast-odds")?.addEventListener("odds", ({ detail }) => show(detail));
// @ts-expect-error
watchOdds({ ids: {} });
// @ts-expect-error
watch.stop();
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, node, compiler, "--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom", "shop.ts")
}
