//go:build !unix

package accept

// OpenFiles returns how many files the process may open, or 0 if that is unknown.
func OpenFiles() int { return 0 }
