// Package manifests checks the Kubernetes manifests, as kustomize renders them, and
// the compose file. Decode checks each object by itself. Every other check compares
// objects with each other, or with the programs that they run.
package manifests
