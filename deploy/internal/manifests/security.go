package manifests

import (
	"errors"
	"fmt"

	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// Security checks that the namespace enforces the pod security standard "restricted",
// that all pods meet it, and that no pod has a token for the API server, a writable
// root file system, or a service account that does not exist.
func Security(o *Objects) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range o.Namespaces {
		if n.Labels[psa.EnforceLevelLabel] != string(psa.LevelRestricted) {
			errs = append(errs, fmt.Errorf("namespace %s does not enforce the restricted standard", n.Name))
		}
	}
	accounts := map[string]bool{"": true}
	for _, a := range o.Accounts {
		accounts[a.Name] = a.AutomountServiceAccountToken != nil && !*a.AutomountServiceAccountToken
	}
	restricted := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	for _, w := range o.Workloads {
		spec := &w.Pod.Spec
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &w.Pod.ObjectMeta, spec))
		if !result.Allowed {
			errs = append(errs, fmt.Errorf("%s: %s", w.Name, result.ForbiddenDetail()))
		}
		mountsToken := spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken
		if mountsToken || !accounts[spec.ServiceAccountName] {
			errs = append(errs, fmt.Errorf("%s: its pods get an API token, or their service account does not exist", w.Name))
		}
		for _, c := range w.containers() {
			if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
				errs = append(errs, fmt.Errorf("%s: its root file system is writable", w.Name))
			}
		}
	}
	return errors.Join(errs...)
}
