package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
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
	_, endpoint := first(endpoints...)
	protocolName, protocol := first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	if protocol == "" {
		protocol = "http/protobuf" // the specification's default
	}
	check(exporter == "" || exporter == "otlp" || exporter == "none", exporterName, exporter, "otlp or none")
	check(protocol == "grpc" || protocol == "http/protobuf", protocolName, protocol, "grpc or http/protobuf")
	// The exporter reads all of them, and quotes to standard error what it can't
	// read: they may hold a password, so it must not come so far.
	for _, name := range endpoints {
		check(isEndpoint(get(name)), name, "…", "http(s)://host:port")
	}
	on := exporter == "otlp" || (exporter == "" && endpoint != "")
	if _, disabled := first("OTEL_SDK_DISABLED"); strings.EqualFold(disabled, "true") {
		on = false
	}
	if on {
		checkUse(check)
	}
	return environment{on, protocol}, errors.Join(errs...)
}

// checkUse checks what matters only where spans are sent.
func checkUse(check func(ok bool, name, value, want string)) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"} {
		check(areHeaders(get(name)), name, "…", "name=value, several separated by commas, with %XX for what is special")
	}
	// A sampler that is not understood would be one that takes everything.
	samplerName, sampler := first("OTEL_TRACES_SAMPLER")
	shareName, share := first("OTEL_TRACES_SAMPLER_ARG")
	check(sampler == "" || slices.Contains(samplers, strings.ToLower(sampler)), samplerName, sampler, "one of "+strings.Join(samplers, ", "))
	if strings.HasSuffix(strings.ToLower(sampler), "traceidratio") {
		check(isShare(share), shareName, share, "0 to 1")
	}
}

var (
	endpoints = []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"}
	samplers  = []string{
		"always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
	}
)

// isEndpoint, areHeaders and isShare tell whether a value can be meant. None is as
// good as one.
func isEndpoint(value string) bool {
	u, err := url.Parse(value)
	return value == "" || (err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "")
}

func areHeaders(value string) bool {
	for pair := range strings.SplitSeq(value, ",") {
		name, text, found := strings.Cut(pair, "=")
		_, err := url.PathUnescape(text)
		if value != "" && (!found || !httpguts.ValidHeaderFieldName(strings.TrimSpace(name)) || err != nil) {
			return false
		}
	}
	return true
}

func isShare(value string) bool {
	share, err := strconv.ParseFloat(value, 64)
	return value == "" || (err == nil && share >= 0 && share <= 1)
}

func get(name string) string { _, value := first(name); return value }

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
