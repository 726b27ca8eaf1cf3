package docs

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // registers google.rpc
	_ "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// problems returns what a document names that does not exist. path is the document's
// path, to which its links are relative.
func (r *repository) problems(path, text string) (found []string) {
	report := func(problem string) {
		if problem != "" {
			found = append(found, problem)
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
		report(r.checkLink(path, text, link[1]))
	}
	for line := range strings.SplitSeq(text, "\n") {
		if code, ok := strings.CutPrefix(line, "    "); ok {
			found = append(found, r.checkCode(code)...)
			continue
		}
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line, -1) {
			report(r.checkName(name[1]))
			found = append(found, r.checkFlags(name[1])...)
		}
	}
	return found
}

// checkFlags checks the flags in a text, which must be those of our programs.
func (r *repository) checkFlags(text string) (problems []string) {
	for _, flag := range flags(text) {
		if !r.hasFlag(flag) {
			problems = append(problems, flag+": no program has this flag")
		}
	}
	return problems
}

// flags returns the flags in a text, with --.
func flags(text string) (found []string) {
	for _, flag := range regexp.MustCompile(`(?:^|[\s("])(--[a-z][a-z-]+)`).FindAllStringSubmatch(text, -1) {
		found = append(found, flag[1])
	}
	return found
}

// checkLink checks a link to a file, and to a heading in it.
func (r *repository) checkLink(path, text, link string) string {
	target, anchor, _ := strings.Cut(link, "#")
	if strings.Contains(target, "://") {
		return ""
	}
	if target != "" {
		target = filepath.Join(filepath.Dir(path), target)
		if !r.files[target] {
			return "link to " + link + ": there is no " + target
		}
	}
	if anchor == "" {
		return ""
	}
	if target != "" {
		var err error
		if text, err = readDocument(target); err != nil {
			return err.Error()
		}
	}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		slug := regexp.MustCompile(`[^\p{L}\p{N}_\- ]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return ""
		}
	}
	return "link to " + link + ": there is no such heading"
}

// checkCode checks the commands in a line of an indented code block.
func (r *repository) checkCode(line string) (problems []string) {
	for _, command := range regexp.MustCompile(`&&|\|`).Split(line, -1) {
		command = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(command), "$ "))
		for _, variable := range regexp.MustCompile(`\b([A-Z][A-Z0-9_]+)=`).FindAllStringSubmatch(command, -1) {
			if name := variable[1]; name != "ARGS" && !r.mentions(name) {
				problems = append(problems, name+": there is no such variable")
			}
		}
		command = regexp.MustCompile(`^(export )?([A-Z][A-Z0-9_]*=\S* ?)*`).ReplaceAllString(command, "")
		problem, known := r.checkCommand(command)
		switch {
		case known && problem != "":
			problems = append(problems, problem)
		case known, !foreign.MatchString(command):
			problems = append(problems, r.checkFlags(command)...)
		}
	}
	return problems
}

// checkCommand checks a command line. known is false if its program is neither make
// nor ours.
func (r *repository) checkCommand(line string) (problem string, known bool) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return "", false
	}
	name := strings.TrimPrefix(words[0], ".build/")
	p := r.programs[name]
	switch {
	case name == "make":
		for _, target := range words[1:] {
			if target == "#" {
				break // a comment
			}
			if regexp.MustCompile(`^[a-z-]+$`).MatchString(target) && !r.targets[target] {
				return "make " + target + ": there is no such target", true
			}
		}
		return "", true
	case p == nil || len(words) == 1:
		return "", false
	case strings.HasPrefix(words[1], "-"):
		return "", true
	}
	command := words[1]
	if command == "help" && len(words) > 2 {
		command = words[2]
	}
	if !p.commands[command] {
		return fmt.Sprintf("%s %s: there is no such command", name, command), true
	}
	for _, flag := range flags(line) {
		if !p.flags[flag] {
			return fmt.Sprintf("%s %s: there is no such flag", name, flag), true
		}
	}
	return "", true
}

// foreign are commands of other programs.
var foreign = regexp.MustCompile(`^(curl|docker|go) `)

var (
	goName    = regexp.MustCompile(`^([a-z][a-z0-9]*)\.([A-Z]\w*)(?:\.([A-Z]\w*))?$`)
	protoName = regexp.MustCompile(`^[a-z]+(\.[a-z0-9]+)+\.[A-Z]\w*$`)
	pathName  = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+$`)
	fileName  = regexp.MustCompile(`^[\w-]*\.[a-z]+$`)
	request   = regexp.MustCompile(`^(GET|POST|PATCH|DELETE) (/\S*)$`)
)

// checkName checks a name in backticks.
func (r *repository) checkName(name string) string {
	if strings.HasPrefix(name, "--") {
		return "" // checkFlags checks it
	}
	if problem, known := r.checkCommand(name); known {
		return problem
	}
	switch {
	case goName.MatchString(name):
		return r.checkGoName(name)
	case protoName.MatchString(name):
		if _, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name)); err != nil {
			return name + ": there is no such message or service"
		}
		return ""
	case pathName.MatchString(name):
		return r.checkPath(name)
	case fileName.MatchString(name):
		if !r.names[name] && !r.isIgnored(name) {
			return name + ": there is no file with this name"
		}
		return ""
	case request.MatchString(name):
		return r.checkRequest(name)
	case strings.ContainsAny(name, " {}()\"<>"):
		return "" // a sentence of another language
	}
	if begin, _, abbreviated := strings.Cut(name, "…"); abbreviated {
		if !strings.Contains(r.sources, begin) {
			return name + ": it occurs in no source"
		}
		return ""
	}
	word, _, _ := strings.Cut(strings.TrimPrefix(name, "?"), "=") // ?wait=25s is a parameter with a value
	if !r.mentions(word) {
		return name + ": it occurs in no source"
	}
	return ""
}

// checkRequest checks that the path of an HTTP request occurs in the sources, with
// anything in place of its parameters.
func (r *repository) checkRequest(name string) string {
	path, _, _ := strings.Cut(request.FindStringSubmatch(name)[2], "?")
	pattern := regexp.MustCompile(`\\\{[^}]*\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `[^/\s]+`)
	if !regexp.MustCompile(pattern + `\b`).MatchString(r.sources) {
		return name + ": no source has such a path"
	}
	return ""
}

// checkGoName checks pkg.Name and pkg.Type.Method. t and b are a test and a
// benchmark.
func (r *repository) checkGoName(name string) string {
	parts := append(strings.Split(name, "."), "")
	pkg, identifier, method := parts[0], parts[1], parts[2]
	if receiver := map[string]reflect.Type{"t": reflect.TypeFor[*testing.T](), "b": reflect.TypeFor[*testing.B]()}[pkg]; receiver != nil {
		if _, ok := receiver.MethodByName(identifier); !ok {
			return name + ": there is no such method"
		}
		return ""
	}
	if len(r.packages[pkg]) == 0 {
		return name + ": there is no package " + pkg
	}
	switch ok, err := r.declares(pkg, identifier, method); {
	case err != nil:
		return err.Error()
	case !ok:
		return name + ": no package " + pkg + " declares it"
	}
	return ""
}

// checkPath checks a path from the top of the repository, or a package of Go's
// standard library.
func (r *repository) checkPath(name string) string {
	if r.files[name] || r.isIgnored(name) {
		return ""
	}
	if out, err := exec.Command("go", "list", "-f", "{{.Standard}}", name).
		Output(); err == nil &&
		strings.TrimSpace(string(out)) == "true" {
		return ""
	}
	return name + ": there is no such path"
}

// isIgnored reports whether a path is or lies in something that builds and runs
// leave behind.
func (r *repository) isIgnored(name string) bool {
	for _, ignored := range r.ignored {
		if name == ignored || strings.HasPrefix(name, ignored+"/") {
			return true
		}
	}
	return false
}
