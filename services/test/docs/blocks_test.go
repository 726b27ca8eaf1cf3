package docs

import (
	"regexp"
	"strings"
)

// block is a part of a document that is code: lines that are indented by four blanks, which
// are commands, or what stands between fences.
type block struct {
	language string // after the fence; "" for commands
	text     string
}

// blocks returns the code of a document, in the order in which a reader meets it.
func blocks(document string) (found []block) {
	var open *block
	for line := range strings.Lines(document) {
		fence, isFence := strings.CutPrefix(line, "```")
		code, isCode := strings.CutPrefix(line, "    ")
		switch {
		case open != nil && open.language != "" && isFence:
			found, open = append(found, *open), nil
		case open != nil && open.language != "":
			open.text += line
		case isFence:
			open = &block{language: strings.TrimSpace(fence)}
		case isCode && open == nil:
			open = &block{text: code}
		case isCode:
			open.text += code
		case open != nil:
			found, open = append(found, *open), nil
		}
	}
	if open != nil {
		found = append(found, *open)
	}
	return found
}

// prose returns a document without what stands between fences.
func prose(document string) string {
	return regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(document, "")
}

// command is a line of a shell, and the HTTP status that its comment names, or 200.
type command struct {
	text   string
	status string
}

var comment = regexp.MustCompile(`(?:^|\s+)# ?(\d{3})?.*$`)

// commands returns the commands of a block: without the prompt and the comments, with lines
// that end in a backslash joined.
func (b *block) commands() (found []command) {
	text := strings.ReplaceAll(b.text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		c := command{status: "200"}
		if m := comment.FindStringSubmatch(line); m != nil && m[1] != "" {
			c.status = m[1]
		}
		c.text = strings.TrimPrefix(comment.ReplaceAllString(line, ""), "$ ")
		if c.text != "" {
			found = append(found, c)
		}
	}
	return found
}
