package standalone

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/demo"
)

// firstRaffle is the title of the raffle that is there to look at. In an empty database
// it gets id 1.
const firstRaffle = "Signed guitar"

// writeWelcome writes where everything is, who may use it, and what to try.
func writeWelcome(cfg *Config, stores *stores, gateway gateway.Addresses, participation participation.Addresses) {
	database := "the one of DATABASE_URL"
	if stores.postgres != nil {
		database = "psql '" + stores.databaseURL + "'"
	}
	callers := "nobody is authenticated: whoever reaches a port may do everything"
	try := openExamples
	if cfg.Access.Enabled() {
		callers = "need a token of " + cfg.Access.Issuer
		try = closedExamples
	}
	life := "off; --demo has raffles that live by themselves"
	if cfg.Demo {
		life = fmt.Sprintf("Festival pass stays open; every two minutes a short raffle closes, is drawn, and another opens, %d at most", demo.MaxRaffles)
	}
	fmt.Fprintf(cfg.Out, `
Rafflecast is running. Ctrl-C stops it.

  the page        http://%[1]s/
  the database    %[5]s
  operations      http://%[2]s/metrics (gateway), http://%[3]s/metrics (participation)
  NATS            %[7]s
  callers         %[6]s
  the demo        %[8]s

Try, in another terminal:

`+try+"\n", gateway.HTTP, gateway.Ops, participation.Ops, participation.GRPC, database, callers, stores.nats.URL(), life, program())
}

// program returns the program as it was called, which need not be on the PATH.
func program() string {
	if called := os.Args[0]; filepath.Base(called) == "rafflecast" {
		return called
	}
	return "rafflecast"
}

const (
	openExamples = `  %[9]s watch 1 --gateway=http://%[1]s
  %[9]s list --target=%[4]s
  curl -N 'http://%[1]s/api/v1/raffles/1/subscribe'
  curl -X POST 'http://%[1]s/api/v1/raffles/1/entries?memberId=7'
  go run github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4 -plaintext -d '{"raffleId":1,"memberId":"8"}' %[4]s raffle.v1.ParticipationService/Enter
`
	closedExamples = `  %[9]s watch 1 --gateway=http://%[1]s
  %[9]s list --target=%[4]s --token="$TOKEN"
  curl -N 'http://%[1]s/api/v1/raffles/1/subscribe'
  curl -X POST -H "Authorization: Bearer $TOKEN" 'http://%[1]s/api/v1/raffles/1/entries'
  go run github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4 -plaintext -H "Authorization: Bearer $TOKEN" -d '{"raffleId":1}' %[4]s raffle.v1.ParticipationService/Enter
`
)
