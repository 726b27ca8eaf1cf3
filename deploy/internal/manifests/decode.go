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

// served are the kinds that Kubernetes 1.34 serves, and Gateway API 1.4, of which
// we make use. The types alone don't tell: client-go still decodes versions that
// servers gave up long ago.
var served = map[string]bool{
	"/v1, Kind=Namespace": true, "/v1, Kind=Service": true, "/v1, Kind=ServiceAccount": true,
	"/v1, Kind=Secret": true, "/v1, Kind=ConfigMap": true,
	"apps/v1, Kind=Deployment": true, "apps/v1, Kind=StatefulSet": true, "batch/v1, Kind=Job": true,
	"policy/v1, Kind=PodDisruptionBudget": true, "autoscaling/v2, Kind=HorizontalPodAutoscaler": true,
	"networking.k8s.io/v1, Kind=NetworkPolicy": true, "networking.k8s.io/v1, Kind=Ingress": true,
	"gateway.networking.k8s.io/v1, Kind=Gateway": true, "gateway.networking.k8s.io/v1, Kind=HTTPRoute": true,
}

// Render returns what kustomize makes of a directory, as YAML.
func Render(files filesys.FileSystem, dir string) ([]byte, error) {
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, dir)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", dir, err)
	}
	return rendered.AsYaml()
}

// Decode reads objects strictly: unknown fields, duplicate keys, values of another
// type, and kinds that are not served are errors, all of which it returns.
func Decode(text []byte) (*Objects, error) {
	types := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(types))
	utilruntime.Must(gatewayv1.Install(types))
	decoder := serializer.NewCodecFactory(types, serializer.EnableStrict).UniversalDeserializer()
	objects := &Objects{}
	err := each(text, func(document []byte) error {
		object, kind, err := decoder.Decode(document, nil, nil)
		switch {
		case err != nil:
			return fmt.Errorf("%w in\n%s", err, document)
		case !served[kind.String()]:
			return fmt.Errorf("%s is not served", kind)
		case !objects.add(object):
			return fmt.Errorf("%s is not looked at by any check", kind)
		}
		return nil
	})
	return objects, err
}

// NoDuplicates checks a source file for keys that stand twice in one object, of
// which kustomize takes the last and says nothing.
func NoDuplicates(text []byte) error {
	return each(text, func(document []byte) error {
		var anything any
		return strict.UnmarshalStrict(document, &anything)
	})
}

// each calls look with each document of a text and returns all errors.
func each(text []byte, look func(document []byte) error) error {
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var errs []error
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return errors.Join(errs...)
		} else if err != nil {
			return err
		}
		errs = append(errs, look(document))
	}
}
