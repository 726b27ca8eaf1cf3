package natsconn

import (
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// ServerSettings are the settings of a service that say where its NATS servers are and
// what the stream of odds is called there, declared as package config describes.
type ServerSettings struct {
	NATSURL         string `name:"nats-url" env:"NATS_URL" default:"nats://127.0.0.1:4222" secret:"" is:"nats" help:"NATS servers."`
	NATSCA          string `name:"nats-ca" env:"NATS_CA" form:"a PEM file of certificates" help:"CA that signs the NATS servers' certificates. With it, connections without TLS are refused; without it, the system's CAs are trusted."`
	NATSCredentials string `name:"nats-credentials" env:"NATS_CREDENTIALS" form:"a .creds file" help:"JWT and key of the NATS user. Without it, the user and password of the URL are used."`
	NATSPrefix      string `name:"nats-prefix" env:"NATS_PREFIX" form:"lower-case letters, digits and hyphens, at most 32" help:"Prefix of the names of the stream of odds and its subjects. Environments that share a NATS cluster need different ones; the gateways of an environment have that of its participation."`
}

// Rules implements config.Rules.
func (s *ServerSettings) Rules(check *config.Checks) {
	check.NoError(CheckCA(s.NATSCA), &s.NATSCA)
	check.NoError(CheckCredentials(s.NATSCredentials), &s.NATSCredentials)
	check.That(oddsstream.CheckPrefix(s.NATSPrefix) == nil, &s.NATSPrefix)
}

// Names returns the names of the stream of odds and its subjects.
func (s *ServerSettings) Names() oddsstream.Names { return oddsstream.Names{Prefix: s.NATSPrefix} }
