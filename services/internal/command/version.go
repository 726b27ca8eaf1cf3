package command

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is what a release is called, and revision the commit that it was made
// from. The linker sets both (see deploy/images).
var version, revision string

// Version returns what this build is called: the release's name, or else what Go
// made of the repository's tags and commits; "unknown" where neither is known.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(version, info.Main.Version, "unknown")
	}
	return cmp.Or(version, "unknown")
}

// Revision returns the commit that this build was made from, with "-modified"
// where files differed from it, or "".
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if revision != "" || !ok {
		return revision
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["vcs.modified"] == "true" {
		return settings["vcs.revision"] + "-modified"
	}
	return settings["vcs.revision"]
}

func printVersion(w io.Writer, program string) {
	fmt.Fprintf(w, "%s %s\nrevision %s\n%s %s/%s\n", program, Version(), cmp.Or(Revision(), "unknown"),
		runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
