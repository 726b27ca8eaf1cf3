package natsconn

import "github.com/rafflecast/rafflecast/services/internal/config"

// ServerSettings are the settings of a service that say where its NATS servers are,
// declared as package config describes.
type ServerSettings struct {
	NATSURL         string `name:"nats-url" env:"NATS_URL" default:"nats://127.0.0.1:4222" secret:"" is:"nats" help:"NATS servers."`
	NATSCA          string `name:"nats-ca" env:"NATS_CA" form:"a PEM file of certificates" help:"CA that signs the NATS servers' certificates. With it, connections without TLS are refused; without it, the system's CAs are trusted."`
	NATSCredentials string `name:"nats-credentials" env:"NATS_CREDENTIALS" form:"a .creds file" help:"JWT and key of the NATS user. Without it, the user and password of the URL are used."`
}

// Rules implements config.Rules.
func (s *ServerSettings) Rules(check *config.Checks) {
	check.NoError(CheckCA(s.NATSCA), &s.NATSCA)
	check.NoError(CheckCredentials(s.NATSCredentials), &s.NATSCredentials)
}
