package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// source is a part of the manifests, and the condition under which the chart has it.
type source struct {
	path string // in the directory of the manifests: a directory with a kustomization, or a file
	when string // a template's condition; empty: always
}

var sources = []source{
	{"overlays/production", ""},
	{"components/gateway-api/routes.yaml", `eq .Values.entrance.kind "gateway-api"`},
	{"components/ingress/ingress.yaml", `eq .Values.entrance.kind "ingress"`},
	{"examples/keda.yaml", `eq .Values.autoscaling.kind "keda"`},
}

// templates returns the chart's templates by file name: one for each object.
func templates(kubernetes string) (map[string]string, error) {
	files := map[string]string{}
	for _, s := range sources {
		text, err := read(filepath.Join(kubernetes, s.path))
		if err != nil {
			return nil, err
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			o, err := parse(document)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.path, err)
			}
			name := strings.ToLower(o.kind()) + "-" + o.name() + ".yaml"
			if o.kind() == "ConfigMap" {
				name = "configmap-nats.yaml" // its own name ends in a hash of its contents
			}
			if files[name], err = o.template(s.when); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return files, nil
}

// read returns the objects of a file, or those that kustomize renders from a directory.
func read(path string) ([]byte, error) {
	if filepath.Ext(path) == ".yaml" {
		return os.ReadFile(path) //nolint:gosec // G304: one of the sources
	}
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", path, err)
	}
	return rendered.AsYaml()
}

// object is an object of Kubernetes.
type object map[string]any

func parse(document []byte) (object, error) {
	o := object{}
	if err := yaml.Unmarshal(document, &o); err != nil {
		return nil, err
	}
	if o.kind() == "" || o.name() == "" {
		return nil, errors.New("it has no kind or no name")
	}
	return o, nil
}

func (o object) kind() string { s, _ := o["kind"].(string); return s }

func (o object) name() string {
	metadata, _ := o["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}

// mark stands around an expression of a template within a value.
const mark = "@@"

// whole matches a value that is an expression and nothing else, as YAML quotes it.
var whole = regexp.MustCompile(`'` + mark + `(\{\{[^@]*\}\})` + mark + `'`)

const ownReplicas = `  {{- if eq .Values.autoscaling.kind "none" }}
  replicas: {{ .Values.gateway.replicas }}
  {{- end }}
`

// template returns the object as a template.
func (o object) template(when string) (string, error) {
	plain, err := yaml.Marshal(o)
	if err != nil {
		return "", err
	}
	if bytes.Contains(plain, []byte("{{")) || bytes.Contains(plain, []byte(mark)) {
		return "", errors.New("it has what is special in a template")
	}
	if err := o.parametrize(); err != nil {
		return "", err
	}
	text, err := yaml.Marshal(o)
	if err != nil {
		return "", err
	}
	made := strings.ReplaceAll(whole.ReplaceAllString(string(text), "$1"), mark, "")
	if o.kind() == "Deployment" && o.name() == "gateway" { // which the autoscaler decides otherwise
		made = strings.Replace(made, "\nspec:\n", "\nspec:\n"+ownReplicas, 1)
	}
	for _, c := range append(conditions(o), when) {
		if c != "" {
			made = "{{- if " + c + " }}\n" + made + "{{- end }}\n"
		}
	}
	return "# Made by internal/chart from the manifests for kustomize: change those.\n" + made, nil
}
