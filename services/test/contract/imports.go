// Package contract writes the contract for callers in other languages: a folder
// with the .proto files and everything that they import, a descriptor set, an OpenAPI
// document of the HTTP/JSON calls, and an AsyncAPI document of the events. Its tests
// use the folder as such callers do.
package contract

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/jhump/protoreflect/desc"            //nolint:staticcheck // protoprint of version 2 is not released
	"github.com/jhump/protoreflect/desc/protoprint" //nolint:staticcheck // likewise
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	// Each of these registers the descriptors of its files.
	_ "google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	_ "google.golang.org/genproto/googleapis/rpc/status"
	_ "google.golang.org/protobuf/types/known/fieldmaskpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
)

// imported is a line that imports a file of Google's.
var imported = regexp.MustCompile(`(?m)^import "(google/[^"]+)";`)

// imports returns the files of Google's that the contract imports by its sources, which may
// be newer than its generated code, and those that callers need to read the details of errors.
func imports(repository string) ([]string, error) {
	names := []string{"google/rpc/error_details.proto", "google/rpc/status.proto"}
	sources := os.DirFS(filepath.Join(repository, protoDir))
	err := fs.WalkDir(sources, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".proto" {
			return err
		}
		text, err := fs.ReadFile(sources, path)
		for _, line := range imported.FindAllSubmatch(text, -1) {
			names = append(names, string(line[1]))
		}
		return err
	})
	return names, err
}

// WriteImports writes the files of Google's that the contract imports, and all
// that those import, as .proto files below dir. Their text is made from the
// descriptors in Go modules, so that nothing is downloaded. If wellKnown is false,
// the files of google/protobuf, which compilers have, are left out. repository is the top
// of the repository.
func WriteImports(dir, repository string, wellKnown bool) error {
	names, err := imports(repository)
	if err != nil {
		return fmt.Errorf("read what the contract imports: %w", err)
	}
	written := make(map[string]bool)
	for _, name := range names {
		file, err := protoregistry.GlobalFiles.FindFileByPath(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		wrapped, err := desc.WrapFile(file)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := write(dir, wrapped, wellKnown, written); err != nil {
			return err
		}
	}
	return nil
}

func write(dir string, file *desc.FileDescriptor, wellKnown bool, written map[string]bool) error {
	if written[file.GetName()] || !wellKnown && strings.HasPrefix(file.GetName(), "google/protobuf/") {
		return nil
	}
	written[file.GetName()] = true
	printer := protoprint.Printer{}
	text, err := printer.PrintProtoToString(file)
	if err != nil {
		return fmt.Errorf("print %s: %w", file.GetName(), err)
	}
	if err := writeFile(filepath.Join(dir, filepath.FromSlash(file.GetName())), []byte(text)); err != nil {
		return fmt.Errorf("write %s: %w", file.GetName(), err)
	}
	for _, dependency := range file.GetDependencies() {
		if err := write(dir, dependency, wellKnown, written); err != nil {
			return err
		}
	}
	return nil
}

// detailFiles returns the files that callers need to read the details of errors.
func detailFiles() []protoreflect.FileDescriptor {
	return []protoreflect.FileDescriptor{errdetails.File_google_rpc_error_details_proto}
}
