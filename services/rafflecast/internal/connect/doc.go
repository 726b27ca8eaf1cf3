// Package connect calls the services for commands: where they are, who calls, and what
// went wrong, as one sentence with an exit code.
package connect
