package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// environment is what decides whether and where spans are sent.
type environment struct {
	on       bool
	protocol string // grpc or http/protobuf
}

func readEnvironment() (environment, error) {
	var errs []error
	check := func(ok bool, name, value, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s=%s: must be %s", name, value, want))
		}
	}
	exporterName, exporter := first("OTEL_TRACES_EXPORTER")
	endpointName, endpoint := first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	protocolName, protocol := first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	if protocol == "" {
		protocol = "http/protobuf" // the specification's default
	}
	check(exporter == "" || exporter == "otlp" || exporter == "none", exporterName, exporter, "otlp or none")
	check(protocol == "grpc" || protocol == "http/protobuf", protocolName, protocol, "grpc or http/protobuf")
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", endpointName, "…", "http(s)://host:port")
	}
	on := exporter == "otlp" || (exporter == "" && endpoint != "")
	if _, disabled := first("OTEL_SDK_DISABLED"); strings.EqualFold(disabled, "true") {
		on = false
	}
	return environment{on, protocol}, errors.Join(errs...)
}

// first returns the first of the variables that is set, and its value. An empty
// value is as good as none, by the specification.
func first(names ...string) (name, value string) {
	for _, name := range names {
		if value := strings.TrimSpace(os.Getenv(name)); value != "" {
			return name, value
		}
	}
	return names[0], ""
}
