package contract_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// everything is where the folder has .proto files.
var everything = []string{"raffle/v1", "buf/validate", "google/api", "google/rpc", "google/protobuf"}

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

// The plugins for Java take the folder as it is, javac what they make, and a client
// places an entry.
func TestFolder_WorksInJava(t *testing.T) {
	t.Parallel()
	protoc, plugin := testenv.NeedProgram(t, "protoc"), testenv.NeedProgram(t, "grpc_java_plugin")
	javac, java := testenv.NeedProgram(t, "javac"), testenv.NeedProgram(t, "java")
	classpath := make([]string, len(jars))
	for i, jar := range jars {
		classpath[i] = "/usr/share/java/" + jar + ".jar"
		if _, err := os.Stat(classpath[i]); err != nil {
			testenv.SkipMissing(t, "jar of Debian's: "+classpath[i])
		}
	}
	dir, sources, classes := needFolder(t), t.TempDir(), t.TempDir()
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
	client, err := filepath.Abs("testdata/Client.java")
	if err != nil {
		t.Fatal(err)
	}
	run(t, sources, javac, append([]string{"-nowarn", "-d", classes, "-cp", strings.Join(classpath, ":")}, append(files, client)...)...)
	s := startParticipation(t)
	var got outcome
	got.check(t, run(t, classes, java, "-cp", strings.Join(append(classpath, classes), ":"), "Client", s.at.GRPC.String()), "java")
}
