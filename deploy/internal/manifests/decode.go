package manifests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	strict "sigs.k8s.io/yaml"
)

// served lists the kinds in use, all of which Kubernetes 1.34 and Gateway API 1.4
// serve. The list is needed because client-go also decodes API versions that servers
// no longer serve.
var served = map[string]bool{
	"/v1, Kind=Namespace": true, "/v1, Kind=Service": true, "/v1, Kind=ServiceAccount": true,
	"/v1, Kind=Secret": true, "/v1, Kind=ConfigMap": true,
	"apps/v1, Kind=Deployment": true, "apps/v1, Kind=StatefulSet": true,
	"policy/v1, Kind=PodDisruptionBudget": true, "autoscaling/v2, Kind=HorizontalPodAutoscaler": true,
	"networking.k8s.io/v1, Kind=NetworkPolicy": true, "networking.k8s.io/v1, Kind=Ingress": true,
	"gateway.networking.k8s.io/v1, Kind=Gateway": true, "gateway.networking.k8s.io/v1, Kind=HTTPRoute": true,
}

// Render returns the YAML that kustomize builds from a directory.
func Render(files filesys.FileSystem, dir string) ([]byte, error) {
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, dir)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", dir, err)
	}
	return rendered.AsYaml()
}

// Decode reads objects strictly. Unknown fields, duplicate keys, values of the wrong
// type, and kinds that are not served are errors; it returns all of them.
func Decode(text []byte) (*Objects, error) {
	types := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(types))
	utilruntime.Must(gatewayv1.Install(types))
	decoder := serializer.NewCodecFactory(types, serializer.EnableStrict).UniversalDeserializer()
	objects := &Objects{}
	err := forEachDocument(text, func(document []byte) error {
		object, kind, err := decoder.Decode(document, nil, nil)
		switch {
		case err != nil:
			return fmt.Errorf("%w in\n%s", err, document)
		case !served[kind.String()]:
			return fmt.Errorf("%s is not served", kind)
		case !objects.add(object):
			return fmt.Errorf("no check covers %s", kind)
		}
		return nil
	})
	return objects, err
}

// NoDuplicates returns an error if a key occurs twice in one object of a source file.
// Kustomize would silently use the last one.
func NoDuplicates(text []byte) error {
	return forEachDocument(text, func(document []byte) error {
		var anything any
		return strict.UnmarshalStrict(document, &anything)
	})
}

// forEachDocument calls fn with each YAML document of text and returns all errors.
func forEachDocument(text []byte, fn func(document []byte) error) error {
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var errs []error
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return errors.Join(errs...)
		} else if err != nil {
			return err
		}
		errs = append(errs, fn(document))
	}
}
