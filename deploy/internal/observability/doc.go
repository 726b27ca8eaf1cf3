// Package observability checks the alerts, their runbook and the dashboard against the
// metrics and log messages of the services.
package observability
