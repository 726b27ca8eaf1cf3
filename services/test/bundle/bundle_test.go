package bundle

import (
	"bytes"
	"os"
	"testing"
)

func TestScript_IsTheCommittedOne(t *testing.T) {
	t.Parallel()
	const page = "../../gateway/web"
	made, err := Script(page)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile(page + "/bundle/page.js")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, committed) {
		t.Error("it differs from what make generate makes")
	}
}
