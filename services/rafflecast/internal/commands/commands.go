// Package commands has the commands of the program rafflecast: each reads its settings by
// package config, and writes to a console. The program's parser can run in a test, with
// its own arguments, environment and console.
package commands

// Commands are the commands of the program.
type Commands struct {
	Run runCommand `cmd:"" group:"Begin:" help:"Run both services, NATS and PostgreSQL in one process; --demo has raffles that live by themselves."`

	Create   createCommand   `cmd:"" group:"Raffles:" help:"Create a raffle."`
	List     listCommand     `cmd:"" group:"Raffles:" aliases:"ls" help:"List raffles."`
	Show     showCommand     `cmd:"" group:"Raffles:" help:"Show all of a raffle."`
	Watch    watchCommand    `cmd:"" group:"Raffles:" help:"Watch the odds of a raffle, live."`
	Edit     editCommand     `cmd:"" group:"Raffles:" help:"Change a raffle that is not closed."`
	Close    closeCommand    `cmd:"" group:"Raffles:" help:"Close a raffle: no more entries are accepted."`
	Cancel   cancelCommand   `cmd:"" group:"Raffles:" help:"Call a raffle off, for good."`
	Enter    enterCommand    `cmd:"" group:"Raffles:" help:"Enter a member into a raffle."`
	Withdraw withdrawCommand `cmd:"" group:"Raffles:" help:"Take an entry of a member back."`

	Winners winnersCommand `cmd:"" group:"Draw:" help:"List the tickets that were drawn."`
	Verify  verifyCommand  `cmd:"" group:"Draw:" help:"Check the draw of a raffle, as rafflecast-verify does."`
	Draw    drawCommand    `cmd:"" group:"Draw:" help:"Draw a raffle by hand, whose draw is due."`
	Strike  strikeCommand  `cmd:"" group:"Draw:" help:"Take a winner's prize away."`
	Redraw  redrawCommand  `cmd:"" group:"Draw:" help:"Draw the vacant prizes from a later round."`
	Export  exportCommand  `cmd:"" group:"Draw:" help:"Write the entries of a raffle, or its winners, as CSV."`
	Purge   purgeCommand   `cmd:"" group:"Draw:" help:"Delete the members' data of a raffle that has ended."`

	Audit       auditCommand       `cmd:"" group:"Operation:" help:"List who has done what."`
	Doctor      doctorCommand      `cmd:"" group:"Operation:" help:"Diagnose the proxies between browsers and this gateway."`
	Tap         tapCommand         `cmd:"" group:"Operation:" help:"Show every message of odds on NATS as it passes."`
	Load        loadCommand        `cmd:"" group:"Operation:" help:"Load test: enter members into new raffles, and verify the entries."`
	LoadStreams loadStreamsCommand `cmd:"" group:"Operation:" help:"Load test: hold many streams of a raffle until it is closed, and check what each receives."`

	Token      tokenCommand      `cmd:"" group:"Keys:" help:"Print a token for development, and make the keys for it."`
	SigningKey signingKeyCommand `cmd:"" group:"Keys:" help:"Make a key that signs the logs of raffles, and print the key that verifies them."`

	Completion completionCommand `cmd:"" group:"Other:" help:"Print a script that completes commands and flags in a shell."`
}

// Description says what the program is, and what its exit codes mean.
const Description = `Live odds for raffles: the whole system in one process, and all that an organiser and an operator need.

Exit codes: 0 done; 1 something does not work, perhaps only now; 2 the arguments are wrong, or nothing was confirmed; 3 what is named does not exist, or the service refuses. doctor and verify exit with 1 if something is wrong, and with 2 if they can't tell.`
