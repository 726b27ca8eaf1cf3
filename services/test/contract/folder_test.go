package contract_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/rafflecast/rafflecast/services/test/servicetest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// everything is where the folder has .proto files.
var everything = []string{"raffle/v1", "buf/validate", "google/api", "google/rpc", "google/protobuf"}

// Some compilers come without the files of google/protobuf, and then it is the folder's that
// count.
func TestFolder_HasAllThatItsFilesImport(t *testing.T) {
	t.Parallel()
	dir := needFolder(t)
	line, found := regexp.MustCompile(`(?m)^import (?:public )?"([^"]+)";`), 0
	for _, name := range protos(t, dir, everything...) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range line.FindAllSubmatch(text, -1) {
			found++
			if _, err := os.Stat(filepath.Join(dir, string(imported[1]))); err != nil {
				t.Errorf("%s imports %s, which the folder lacks", name, imported[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d imports", found)
	}
}

func TestFolder_CompilesWithProtoc(t *testing.T) {
	t.Parallel()
	protoc := testenv.NeedProgram(t, "protoc")
	dir, out := needFolder(t), filepath.Join(t.TempDir(), "set.binpb")
	run(t, dir, protoc, append([]string{"-I", ".", "--include_imports", "--descriptor_set_out=" + out}, protos(t, dir, everything...)...)...)
	compiled, ours := elements(t, out), elements(t, filepath.Join(dir, "contract.binpb"))
	for _, want := range []string{"raffle.v1.ParticipationService.EnterStream", "raffle.v1.Raffle.State", "google.rpc.ErrorInfo.metadata"} {
		if !slices.Contains(compiled, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, name := range compiled {
		if strings.HasPrefix(name, "raffle.v1.") && !slices.Contains(ours, name) {
			t.Errorf("%s is not in contract.binpb", name)
		}
	}
}

// elements returns the full names of all messages, fields, enums and methods of a
// descriptor set.
func elements(t *testing.T, path string) (names []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	var messages func(list protoreflect.MessageDescriptors)
	messages = func(list protoreflect.MessageDescriptors) {
		for i := range list.Len() {
			m := list.Get(i)
			names = append(names, string(m.FullName()))
			for j := range m.Fields().Len() {
				names = append(names, string(m.Fields().Get(j).FullName()))
			}
			for j := range m.Enums().Len() {
				names = append(names, string(m.Enums().Get(j).FullName()))
			}
			messages(m.Messages())
		}
	}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		messages(file.Messages())
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				names = append(names, string(methods.Get(j).FullName()))
			}
		}
		return true
	})
	return names
}

// outcome is what the clients in other languages print.
type outcome struct {
	MemberEntries           int
	Replayed                bool
	Code                    string
	Reason, Domain, Limit   string
	ViolatedField, MemberID string
}

// check compares what a client prints with what it should have seen.
func (o *outcome) check(t *testing.T, printed, member string) {
	t.Helper()
	if err := json.Unmarshal([]byte(printed), o); err != nil {
		t.Fatalf("%q: %v", printed, err)
	}
	want := outcome{
		MemberEntries: 1, Replayed: true, Code: "FAILED_PRECONDITION", Reason: "ENTRY_LIMIT_REACHED", Domain: "rafflecast", Limit: "1",
		ViolatedField: "member_id", MemberID: member,
	}
	if *o != want {
		t.Errorf("got %+v, want %+v", *o, want)
	}
}

// Node's proto-loader takes the folder as it is, and grpc-js places an entry.
func TestFolder_WorksInNode(t *testing.T) {
	t.Parallel()
	node := testenv.NeedProgram(t, "node")
	packages := nodePackages(t, "@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1")
	s := startParticipation(t)
	var got outcome
	got.check(t, run(t, packages, node, script(t, packages, "client.mjs"), needFolder(t), s.at.GRPC.String()), "node")
}

// Debian's jars of protobuf, gRPC for Java and what they need.
var jars = []string{
	"protobuf", "grpc-api", "grpc-context", "grpc-core", "grpc-netty", "grpc-protobuf", "grpc-protobuf-lite", "grpc-stub",
	"netty-buffer", "netty-codec", "netty-codec-http", "netty-codec-http2", "netty-common", "netty-handler", "netty-resolver", "netty-transport",
	"guava", "jsr305", "geronimo-annotation-1.3-spec", "opencensus-api", "perfmark-api",
}

// springJars are what the example for Spring needs besides.
var springJars = []string{"spring3-core", "spring3-beans", "spring3-context", "spring3-web", "spring3-web.servlet", "commons-logging"}

// needJars returns the paths of jars.
func needJars(t *testing.T, names []string) (paths []string) {
	t.Helper()
	for _, name := range names {
		path := "/usr/share/java/" + name + ".jar"
		if _, err := os.Stat(path); err != nil {
			testenv.SkipMissing(t, "jar of Debian's: "+path)
		}
		paths = append(paths, path)
	}
	return paths
}

// javaProject is what javac and java work on.
type javaProject struct {
	t         *testing.T
	classes   string // the directory of compiled classes
	classpath []string
}

func (p *javaProject) path() string { return strings.Join(append(p.classpath, p.classes), ":") }

func (p *javaProject) compile(files ...string) {
	p.t.Helper()
	run(p.t, p.classes, testenv.NeedProgram(p.t, "javac"), append([]string{"-nowarn", "-d", p.classes, "-cp", p.path()}, files...)...)
}

func (p *javaProject) run(args ...string) string {
	p.t.Helper()
	return run(p.t, p.classes, testenv.NeedProgram(p.t, "java"), append([]string{"-cp", p.path()}, args...)...)
}

// The plugins for Java take the folder as it is, javac what they make, and clients place
// entries: one by itself, and the example for Spring.
func TestFolder_WorksInJava(t *testing.T) {
	t.Parallel()
	protoc, plugin := testenv.NeedProgram(t, "protoc"), testenv.NeedProgram(t, "grpc_java_plugin")
	p := &javaProject{t, t.TempDir(), needJars(t, jars)}
	dir, sources := needFolder(t), t.TempDir()
	run(t, dir, protoc, append([]string{
		"-I", ".", "--java_out=" + sources, "--plugin=protoc-gen-grpc-java=" + plugin, "--grpc-java_out=" + sources,
	}, protos(t, dir, "raffle/v1", "buf/validate", "google/api", "google/rpc")...)...)
	var files []string
	for _, below := range []string{"com/rafflecast/raffle/v1", "build/buf/validate", "com/google/api", "com/google/rpc"} {
		found, err := filepath.Glob(filepath.Join(sources, below, "*.java"))
		if err != nil || len(found) == 0 {
			t.Fatalf("nothing was generated in %s: %v", below, err)
		}
		files = append(files, found...)
	}
	p.compile(append(files, absolute(t, "testdata/Client.java"))...)
	s := startParticipation(t)
	var got outcome
	got.check(t, p.run("Client", s.at.GRPC.String()), "java")
	t.Run("spring", func(t *testing.T) {
		checkSpring(t, &javaProject{t, p.classes, append(needJars(t, springJars), p.classpath...)}, s)
	})
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// checkSpring compiles the example for Spring, except what needs Spring Boot, which Debian
// does not have, and calls it.
func checkSpring(t *testing.T, p *javaProject, s *service) {
	t.Helper()
	sources := glob(t, "examples/spring/src/main/java/com/example/shop/*.java")
	var files []string
	for _, path := range sources {
		if filepath.Base(path) != "Application.java" {
			files = append(files, absolute(t, filepath.Join(repository, path)))
		}
	}
	if len(files) != len(sources)-1 {
		t.Errorf("of %q only Application.java may be left out", sources)
	}
	p.compile(append(files, absolute(t, "testdata/Shop.java"))...)
	gateway := servicetest.StartGateway(t, s.nats.URL())
	testenv.AwaitStatus(t, "http://"+gateway.HTTP+"/api/v1/raffles/1/odds", http.StatusOK)
	got := strings.TrimSpace(p.run("Shop", s.at.GRPC.String(), "http://"+gateway.HTTP))
	const want = `{"first":200,"memberEntries":1,"second":409,"reason":"ENTRY_LIMIT_REACHED",` +
		`"stream":200,"type":"text/event-stream; charset=utf-8","event":true,"unknown":404}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
