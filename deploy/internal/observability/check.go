package observability

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// rates lists the functions to apply to counters.
var rates = []string{"rate", "increase"}

// unrated lists counters that may be used without rate or increase.
var unrated = []string{
	"rafflecast_participation_versions_bumped_total", // a single one matters, and may precede the first scrape
}

// Check returns all errors in a PromQL expression: metrics, labels and label values that
// do not exist, and metrics that are used in a way that does not fit their kind.
func (m Metrics) Check(expression string) error {
	expr, err := parser.ParseExpr(expression)
	if err != nil {
		return err
	}
	var errs []error
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			errs = append(errs, m.checkSelector(n, path))
		case *parser.AggregateExpr:
			errs = append(errs, m.checkLabels(n, n.Grouping))
		case *parser.BinaryExpr:
			if v := n.VectorMatching; v != nil {
				errs = append(errs, m.checkLabels(n, slices.Concat(v.MatchingLabels, v.Include)))
			}
		}
		return nil
	})
	return errors.Join(errs...)
}

func (m Metrics) checkSelector(v *parser.VectorSelector, path []parser.Node) error {
	metric := m[v.Name]
	if metric == nil {
		return fmt.Errorf("there is no metric %q", v.Name)
	}
	errs := []error{metric.checkUse(v.Name, path)}
	for _, matcher := range v.LabelMatchers {
		if matcher.Name != model.MetricNameLabel {
			errs = append(errs, metric.checkMatcher(v.Name, matcher))
		}
	}
	return errors.Join(errs...)
}

// checkUse checks that the functions and aggregations around a metric fit its kind. path
// lists the enclosing nodes, the outermost first.
func (m *Metric) checkUse(name string, path []parser.Node) error {
	var functions []string
	keepsBuckets := false
	for _, node := range path {
		switch n := node.(type) {
		case *parser.Call:
			functions = append(functions, n.Func.Name)
		case *parser.AggregateExpr:
			keepsBuckets = keepsBuckets || (!n.Without && slices.Contains(n.Grouping, "le"))
		}
	}
	rated := slices.ContainsFunc(functions, func(f string) bool { return slices.Contains(rates, f) })
	quantile := slices.Contains(functions, "histogram_quantile")
	switch {
	case m.Kind == Gauge && rated:
		return fmt.Errorf("%s is a gauge: it has no rate", name)
	case m.Kind != Gauge && !rated && !slices.Contains(unrated, name):
		return fmt.Errorf("%s is a counter: use its rate or increase", name)
	case m.Kind == Bucket && (!quantile || !keepsBuckets):
		return fmt.Errorf("%s must be used with histogram_quantile, and by le", name)
	case m.Kind != Bucket && quantile:
		return fmt.Errorf("%s is not the buckets of a histogram", name)
	}
	return nil
}

// checkMatcher checks that a matcher names existing values of a label, whether it
// includes or excludes them.
func (m *Metric) checkMatcher(name string, matcher *labels.Matcher) error {
	values, ok := m.Values[matcher.Name]
	if !ok {
		return fmt.Errorf("%s has no label %q", name, matcher.Name)
	}
	if slices.Contains(targetLabels, matcher.Name) {
		return nil
	}
	alternatives := []string{regexp.QuoteMeta(matcher.Value)}
	if matcher.Type == labels.MatchRegexp || matcher.Type == labels.MatchNotRegexp {
		alternatives = strings.Split(matcher.Value, "|")
	}
	for _, alternative := range alternatives {
		pattern := regexp.MustCompile("^(?:" + alternative + ")$")
		found := false
		for value := range values {
			found = found || pattern.MatchString(value)
		}
		if !found {
			return fmt.Errorf("%s has no series with %s like %q", name, matcher.Name, alternative)
		}
	}
	return nil
}

// checkLabels checks that the labels by which node groups or matches exist in one of its
// metrics.
func (m Metrics) checkLabels(node parser.Node, used []string) error {
	var errs []error
	for _, label := range used {
		found := false
		parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok && m[v.Name] != nil {
				_, has := m[v.Name].Values[label]
				found = found || has
			}
			return nil
		})
		if !found {
			errs = append(errs, fmt.Errorf("no metric in %s has the label %q", node, label))
		}
	}
	return errors.Join(errs...)
}
