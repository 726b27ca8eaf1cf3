package manifests

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Budgets checks that pods can leave a node, yet not all at once: each budget is of
// one workload and lets at least one of its pods go, and one stay; each workload of
// several pods has one; an autoscaler's target leaves the number to it.
func Budgets(o *Objects) error {
	var errs []error
	budgets := map[string]bool{}
	for _, b := range o.Budgets {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil {
			return fmt.Errorf("budget %s: %w", b.Name, err)
		}
		of := o.selected(selector)
		if len(of) != 1 {
			errs = append(errs, fmt.Errorf("budget %s is of %d workloads", b.Name, len(of)))
			continue
		}
		budgets[of[0].Name] = true
		if may, replicas := leaving(b, o.replicas(of[0])), o.replicas(of[0]); may < 1 || may >= replicas {
			errs = append(errs, fmt.Errorf("budget %s lets %d of %d pods go", b.Name, may, replicas))
		}
	}
	for _, a := range o.Autoscalers {
		w := o.workload(a.Spec.ScaleTargetRef.Name)
		if w == nil || w.Kind != a.Spec.ScaleTargetRef.Kind {
			errs = append(errs, fmt.Errorf("autoscaler %s: there is no %s %s", a.Name, a.Spec.ScaleTargetRef.Kind, a.Spec.ScaleTargetRef.Name))
		} else if w.Replicas != nil {
			errs = append(errs, fmt.Errorf("%s says its number of pods, which is autoscaler %s's", w.Name, a.Name))
		}
	}
	for _, w := range o.Workloads {
		if o.replicas(w) > 1 && !budgets[w.Name] {
			errs = append(errs, fmt.Errorf("%s has no budget", w.Name))
		}
		if d, ok := w.Object.(*appsv1.Deployment); ok {
			if r := d.Spec.Strategy.RollingUpdate; r == nil || r.MaxUnavailable == nil || *r.MaxUnavailable != intstr.FromInt32(0) {
				errs = append(errs, fmt.Errorf("%s: an update would take a pod before another is there", w.Name))
			}
		}
	}
	return errors.Join(errs...)
}

// replicas returns how many pods a workload has, at least.
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

// leaving returns how many of so many pods a budget lets go.
func leaving(b *policyv1.PodDisruptionBudget, replicas int) int {
	if b.Spec.MaxUnavailable != nil {
		n, _ := intstr.GetScaledValueFromIntOrPercent(b.Spec.MaxUnavailable, replicas, true)
		return n
	}
	n, _ := intstr.GetScaledValueFromIntOrPercent(b.Spec.MinAvailable, replicas, true)
	return replicas - n
}
