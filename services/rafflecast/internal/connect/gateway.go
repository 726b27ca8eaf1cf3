package connect

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
)

// Gateway says where a gateway is.
type Gateway struct {
	URL string `name:"gateway" env:"RAFFLECAST_GATEWAY" default:"http://127.0.0.1:9998" is:"url" group:"Connection:" help:"URL of the gateway."`
}

// Subscribe returns a client of a raffle's stream. client is one of the credentials'
// HTTPClient.
func (g *Gateway) Subscribe(
	credentials *Credentials, client *http.Client, raffleID int64, observer sseclient.Observer,
) *sseclient.Client {
	url := fmt.Sprintf("%s/api/v1/raffles/%d/subscribe", strings.TrimSuffix(g.URL, "/"), raffleID)
	return sseclient.NewClient(url, client, credentials.Authorize, observer)
}
