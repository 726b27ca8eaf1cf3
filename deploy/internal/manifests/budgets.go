package manifests

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Budgets checks that pods can be evicted, but never all of a workload at once. Each
// budget selects one workload and allows at least one of its pods to be evicted, but
// not all; each workload of several pods has a budget. It also checks that the target
// of an autoscaler does not set its number of replicas, and that a rolling update
// starts a new pod before it stops an old one.
func Budgets(o *Objects) error {
	var errs []error
	budgets := map[string]bool{}
	for _, b := range o.Budgets {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil {
			return fmt.Errorf("budget %s: %w", b.Name, err)
		}
		targets := o.selected(selector)
		if len(targets) != 1 {
			errs = append(errs, fmt.Errorf("budget %s selects %d workloads, and must select one", b.Name, len(targets)))
			continue
		}
		w := targets[0]
		budgets[w.Name] = true
		replicas := o.replicas(w)
		if n := evictable(b, replicas); n < 1 || n >= replicas {
			errs = append(errs, fmt.Errorf("budget %s allows %d of %d pods to be evicted", b.Name, n, replicas))
		}
	}
	for _, a := range o.Autoscalers {
		w := o.workload(a.Spec.ScaleTargetRef.Name)
		if w == nil || w.Kind != a.Spec.ScaleTargetRef.Kind {
			errs = append(errs, fmt.Errorf("autoscaler %s: there is no %s %s",
				a.Name, a.Spec.ScaleTargetRef.Kind, a.Spec.ScaleTargetRef.Name))
		} else if w.Replicas != nil {
			errs = append(errs, fmt.Errorf("%s sets replicas, which autoscaler %s decides", w.Name, a.Name))
		}
	}
	for _, w := range o.Workloads {
		if o.replicas(w) > 1 && !budgets[w.Name] {
			errs = append(errs, fmt.Errorf("%s has no budget", w.Name))
		}
		if d, ok := w.Object.(*appsv1.Deployment); ok {
			update := d.Spec.Strategy.RollingUpdate
			if update == nil || update.MaxUnavailable == nil || *update.MaxUnavailable != intstr.FromInt32(0) {
				errs = append(errs, fmt.Errorf("%s: an update would stop a pod before a new one is ready", w.Name))
			}
		}
	}
	return errors.Join(errs...)
}

// replicas returns the least number of pods that a workload has.
func (o *Objects) replicas(w *Workload) int {
	for _, a := range o.Autoscalers {
		if a.Spec.ScaleTargetRef.Name == w.Name && a.Spec.MinReplicas != nil {
			return int(*a.Spec.MinReplicas)
		}
	}
	if w.Replicas == nil {
		return 1
	}
	return int(*w.Replicas)
}

// evictable returns how many of a workload's pods a budget allows to be evicted.
func evictable(b *policyv1.PodDisruptionBudget, replicas int) int {
	if b.Spec.MaxUnavailable != nil {
		n, _ := intstr.GetScaledValueFromIntOrPercent(b.Spec.MaxUnavailable, replicas, true)
		return n
	}
	n, _ := intstr.GetScaledValueFromIntOrPercent(b.Spec.MinAvailable, replicas, true)
	return replicas - n
}
