package telemetry

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// environment is what the environment says about sending spans. Everything else that
// OpenTelemetry's variables say is read by its SDK and exporters.
type environment struct {
	on       bool
	protocol string // grpc or http/protobuf
}

const (
	exporterVariable = "OTEL_TRACES_EXPORTER"
	samplerVariable  = "OTEL_TRACES_SAMPLER"
	shareVariable    = "OTEL_TRACES_SAMPLER_ARG"
)

// The variables of the exporter. Those for traces win over those for everything.
var (
	endpointVariables = []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"}
	protocolVariables = []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"}
	headersVariables  = []string{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"}
)

var samplers = []string{
	"always_on", "always_off", "traceidratio",
	"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
}

// readEnvironment returns what the environment says, and everything that is wrong with
// it. The exporter would ignore a value that it cannot read, and quote it to standard
// error with the password in it.
func readEnvironment() (environment, error) {
	var errs []error
	// require reports the variable unless ok, or unless it is not set.
	require := func(ok bool, name, shown, bound string) {
		if get(name) != "" && !ok {
			errs = append(errs, fmt.Errorf("%s=%s: must be %s", name, shown, bound))
		}
	}
	exporter := get(exporterVariable)
	require(exporter == "otlp" || exporter == "none", exporterVariable, exporter, "otlp or none")
	protocolVariable := protocolVariables[0]
	if get(protocolVariable) == "" {
		protocolVariable = protocolVariables[1]
	}
	protocol := cmp.Or(get(protocolVariable), "http/protobuf") // the specification's default
	require(protocol == "grpc" || protocol == "http/protobuf", protocolVariable, protocol, "grpc or http/protobuf")
	endpoint := false
	for _, name := range endpointVariables {
		endpoint = endpoint || get(name) != ""
		require(isURL(get(name)), name, "…", "http(s)://host:port")
	}
	on := exporter == "otlp" || exporter == "" && endpoint
	if !on || strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") {
		return environment{protocol: protocol}, errors.Join(errs...)
	}
	for _, name := range headersVariables {
		require(areHeaders(get(name)), name, "…", "name=value, several separated by commas, with %XX for special characters")
	}
	// The SDK would take every span if it did not know the sampler.
	sampler, share := get(samplerVariable), get(shareVariable)
	require(slices.Contains(samplers, strings.ToLower(sampler)), samplerVariable, sampler, "one of "+strings.Join(samplers, ", "))
	if strings.HasSuffix(strings.ToLower(sampler), "traceidratio") {
		require(isShare(share), shareVariable, share, "0 to 1")
	}
	return environment{on, protocol}, errors.Join(errs...)
}

// get returns the value of a variable. By the specification, an empty one counts as
// unset.
func get(name string) string { return strings.TrimSpace(os.Getenv(name)) }

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func areHeaders(text string) bool {
	for pair := range strings.SplitSeq(text, ",") {
		name, value, found := strings.Cut(pair, "=")
		_, err := url.PathUnescape(value)
		if !found || !httpguts.ValidHeaderFieldName(strings.TrimSpace(name)) || err != nil {
			return false
		}
	}
	return true
}

func isShare(text string) bool {
	share, err := strconv.ParseFloat(text, 64)
	return err == nil && share >= 0 && share <= 1
}
