//go:build unix

// Package localpg runs a private PostgreSQL server for development and tests, supervised by this process.
//
// [Find] looks for the server's binaries (and, unless told not to, fetches them); [Start] runs a server on a directory
// that keeps its data; [StartTemp] runs a throw-away one. It is no way to run PostgreSQL in production.
//
// # Lifecycle
//
// Start takes the directory's lock, stops what a killed run left behind, makes the data directory if there is none,
// starts postgres and returns when the database accepts connections. The server then lives until [Server.Stop], until
// it ends by itself ([Server.Done], [Server.Err]), or until this process ends in whatever way:
//
//   - On Linux the kernel signals postgres when this process dies (PR_SET_PDEATHSIG). That signal is tied to the
//     thread that forked, so one goroutine stays locked to its thread for as long as the server runs.
//   - Elsewhere a shell holds the reading end of a pipe from this process and signals postgres at end of file.
//
// Should either fail, the next Start on the directory finds the orphan by the name it gave it and stops it.
//
// # Invariants
//
//   - One run per directory: the living process holds a flock on <dir>/lock. Who does not get it starts nothing and
//     stops nothing; who gets it may stop any server on that directory, since its owner is dead.
//   - The data directory is complete or absent: initdb works in a directory beside it, renamed when it is done.
//   - Connections come through a unix socket in a directory of mode 0700 and in no other way: no TCP port is open, and
//     pg_hba.conf would reject it. That mode, not a password, is the access control; every local role is trusted.
//   - Nothing above the caller's directory is changed, in particular no mode of a parent directory.
//   - Ctrl-C in the terminal does not reach postgres, which has a process group of its own: Stop alone ends it.
//
// # Running as root
//
// PostgreSQL refuses to run as root, so root runs it as the owner of the data directory or, when there is none yet, as
// postgres or nobody. If that user cannot reach the directory (a clone under /root), server files live in a new
// directory under /var/lib/rafflecast (os.TempDir if that cannot be made), and <dir>/relocated is a symbolic link to
// it. Its name is random rather than a hash of the path, so that a new clone in an old place does not inherit the old
// one's data, nor a moved clone lose its own. Nothing removes it when the clone is deleted.
//
// # Files
//
//	<dir>/lock           held while a server runs; contains the pid of its owner
//	<dir>/data           PostgreSQL's data directory, mode 0700
//	<dir>/run            the socket's directory, mode 0700, or a link to one with a shorter path
//	<dir>/postgres.log   the server's log; moved to postgres.log.old when it exceeds 8 MiB
//	<dir>/relocated      only for root, see above; the other files are then there
package localpg
