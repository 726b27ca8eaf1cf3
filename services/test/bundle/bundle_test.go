package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestFiles_AreTheCommittedOnes(t *testing.T) {
	t.Parallel()
	const page = "../../gateway/web"
	for _, name := range Files {
		made, err := Make(page, name)
		if err != nil {
			t.Fatal(err)
		}
		committed, err := os.ReadFile(filepath.Join(page, "bundle", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made, committed) {
			t.Errorf("%s differs from what make generate makes", name)
		}
	}
}
