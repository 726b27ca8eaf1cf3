// Package observability checks what operators see by, the alerts and the dashboard,
// against what the services tell Prometheus.
package observability
