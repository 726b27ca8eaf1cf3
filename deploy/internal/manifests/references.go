package manifests

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// References checks that everything that pods refer to exists: secrets, config maps,
// volumes, and the headless service of a StatefulSet. external lists the secret keys
// that the operator provides, as "name/key".
func References(o *Objects, external []string) error {
	r := references{objects: o, external: external}
	for _, w := range o.Workloads {
		r.volumes(w)
		for _, c := range w.containers() {
			for _, e := range c.Env {
				if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
					r.secret(w, e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key)
				}
			}
		}
		if set, ok := w.Object.(*appsv1.StatefulSet); ok {
			if s := o.service(set.Spec.ServiceName); s == nil || s.Spec.ClusterIP != corev1.ClusterIPNone {
				r.fail(w, "has no headless service %s", set.Spec.ServiceName)
			}
		}
	}
	return errors.Join(r.errs...)
}

type references struct {
	objects  *Objects
	external []string
	errs     []error
}

func (r *references) fail(w *Workload, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(w.Name+" "+format, args...))
}

func (r *references) secret(w *Workload, name, key string) {
	for _, s := range r.objects.Secrets {
		if _, ok := s.StringData[key]; ok && s.Name == name {
			return
		}
	}
	if !slices.Contains(r.external, name+"/"+key) {
		r.fail(w, "uses an unknown secret: %s/%s", name, key)
	}
}

// secretVolume checks the keys of a mounted secret, or that a secret of which all keys are
// mounted is one that the operator provides.
func (r *references) secretVolume(w *Workload, s *corev1.SecretVolumeSource) {
	provided := func(key string) bool { return strings.HasPrefix(key, s.SecretName+"/") }
	if len(s.Items) == 0 && !slices.ContainsFunc(r.external, provided) {
		r.fail(w, "uses an unknown secret: %s", s.SecretName)
	}
	for _, item := range s.Items {
		r.secret(w, s.SecretName, item.Key)
	}
}

func (r *references) configMap(w *Workload, name string) {
	if !slices.ContainsFunc(r.objects.ConfigMaps, func(c *corev1.ConfigMap) bool { return c.Name == name }) {
		r.fail(w, "uses an unknown config map: %s", name)
	}
}

func (r *references) volumes(w *Workload) {
	mounted := map[string]bool{}
	for _, c := range w.containers() {
		for _, m := range c.VolumeMounts {
			mounted[m.Name] = true
		}
	}
	if set, ok := w.Object.(*appsv1.StatefulSet); ok {
		for _, claim := range set.Spec.VolumeClaimTemplates {
			if !mounted[claim.Name] || claim.Spec.StorageClassName != nil {
				r.fail(w, "does not mount its volume claim %s, or sets the storage class", claim.Name)
			}
			delete(mounted, claim.Name)
		}
	}
	for _, v := range w.Pod.Spec.Volumes {
		if !mounted[v.Name] {
			r.fail(w, "does not mount its volume %s", v.Name)
		}
		delete(mounted, v.Name)
		if v.ConfigMap != nil {
			r.configMap(w, v.ConfigMap.Name)
		}
		if v.Secret != nil {
			r.secretVolume(w, v.Secret)
		}
	}
	for name := range mounted {
		r.fail(w, "has no volume %s", name)
	}
}
