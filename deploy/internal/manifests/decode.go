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
	objects, documents := &Objects{}, yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var errs []error
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, errors.Join(errs...)
		} else if err != nil {
			return nil, err
		}
		object, kind, err := decoder.Decode(document, nil, nil)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%w in\n%s", err, document))
		case !served[kind.String()]:
			errs = append(errs, fmt.Errorf("%s is not served", kind))
		case !objects.add(object):
			errs = append(errs, fmt.Errorf("%s is not looked at by any check", kind))
		}
	}
}
