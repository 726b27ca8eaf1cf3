package contract

import (
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

//go:embed callers.md
var callers []byte

// Where the files of the contract are in the repository.
const (
	protoDir     = "proto"
	asyncAPIFile = "proto/asyncapi.yaml"
	openAPIFile  = "services/participation/internal/httpapi/openapi.json"
)

// WriteFolder writes into dir all that callers in other languages need: the .proto
// files with everything that they import, a descriptor set, and the descriptions of
// HTTP and of events. repository is the top of the repository; rules is a directory
// with buf/validate/validate.proto, which comes from a Go module.
func WriteFolder(dir, repository, rules string) error {
	if err := WriteImports(dir, repository, true); err != nil {
		return err
	}
	for _, from := range []string{filepath.Join(repository, protoDir), rules} {
		if err := copyProtos(dir, from); err != nil {
			return err
		}
	}
	set, err := proto.MarshalOptions{Deterministic: true}.Marshal(descriptorSet())
	if err != nil {
		return fmt.Errorf("write the descriptor set: %w", err)
	}
	files := map[string][]byte{"contract.binpb": set, "README.md": callers}
	for name, source := range map[string]string{"openapi.json": openAPIFile, "asyncapi.yaml": asyncAPIFile} {
		if files[name], err = os.ReadFile(filepath.Join(repository, filepath.FromSlash(source))); err != nil { //nolint:gosec // the caller names it
			return fmt.Errorf("copy %s: %w", source, err)
		}
	}
	for name, data := range files {
		if err := writeFile(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	return nil
}

// copyProtos copies the .proto files below from.
func copyProtos(dir, from string) error {
	return fs.WalkDir(os.DirFS(from), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".proto" {
			return err
		}
		data, err := os.ReadFile(filepath.Join(from, path)) //nolint:gosec // the caller names it
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(dir, path), data)
	})
}

func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // sources, for everybody to read
		return err
	}
	return os.WriteFile(path, data, 0o644) //nolint:gosec // likewise
}

// descriptorSet returns the descriptors of the contract, each after those that it
// imports.
func descriptorSet() *descriptorpb.FileDescriptorSet {
	set := &descriptorpb.FileDescriptorSet{}
	added := map[string]bool{}
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if added[file.Path()] {
			return
		}
		added[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(rafflev1.File_raffle_v1_raffle_service_proto)
	add(rafflev1.File_raffle_v1_participation_service_proto)
	add(rafflev1.File_raffle_v1_audit_service_proto)
	for _, file := range detailFiles() {
		add(file)
	}
	return set
}
