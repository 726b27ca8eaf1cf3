// Package localpg runs a private PostgreSQL server for development and tests, as a child of this
// process. It is not meant for production.
//
// # Lifecycle
//
// Start returns when the database accepts connections. The server runs until [Server.Stop], until
// it ends by itself ([Server.Done], [Server.Err]), or until this process ends in any way, kill -9
// included. In that last case postgres gets SIGINT, its fast shutdown, and initdb SIGKILL. On Linux
// the kernel sends the signal (PR_SET_PDEATHSIG) when the thread that forked ends, so a goroutine
// stays locked to that thread. On other systems a shell sends it when a pipe from this process
// breaks.
//
// # Invariants
//
//   - One run per directory: a run holds a flock on <dir>/lock.
//   - One server per data directory: all processes of a server, initdb included, inherit a flock on
//     postgres.log as their standard error. Start takes that lock first, and so waits until the
//     server of a killed run has ended. Nothing here signals a process that is not a child.
//   - The data directory is complete or absent: initdb fills data.new, which is then renamed.
//   - The only way in is a unix socket in a directory with mode 0700. That mode is the access
//     control; every local role is trusted. No TCP port is open, and pg_hba.conf would reject it.
//   - Ctrl-C in the terminal does not reach postgres, which is in a process group of its own.
//
// # Running as root
//
// PostgreSQL refuses to run as root, so root runs it as the owner of the data directory or, if
// there is none yet, as user postgres or nobody. If that user cannot reach the directory (a clone
// under /root), the server's files are kept in a new directory under /var/lib/rafflecast, whose
// random name no other clone inherits. Nothing removes it with the clone.
//
// # Files
//
//	<dir>/lock          contains the pid of the run that holds it
//	<dir>/data          PostgreSQL's data directory
//	<dir>/run           the socket's directory; under /tmp if that path is too long for a socket
//	<dir>/postgres.log  output of initdb and postgres; emptied by a start that finds over 8 MiB
//	<dir>/relocated     link to the directory that has the three files above instead
package localpg
