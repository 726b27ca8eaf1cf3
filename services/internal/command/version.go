package command

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// version is the name of the release, and revision the commit that it was built from.
// The linker sets both (see deploy/images).
var version, revision string

// Version returns the name of this build: that of the release, or else the one that Go
// made from the repository's tags and commits, or else "development".
func Version() string {
	made := ""
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		made = info.Main.Version
	}
	return cmp.Or(version, made, "development")
}

// Revision returns the commit that this build was made from, with "-modified" if files
// differed from it, or "" if it is not known.
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

// LogStart logs that a program starts, and which build it is.
func LogStart(log *slog.Logger, program string) {
	log.Info("starting", "program", program, "version", Version(), "revision", Revision())
}
