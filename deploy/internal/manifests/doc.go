// Package manifests checks what is in deploy: Kubernetes manifests, as kustomize
// renders them, and the compose file. Each check looks at how objects fit each
// other, and the programs that they run; that an object is well formed by itself
// is seen when it is decoded.
package manifests
