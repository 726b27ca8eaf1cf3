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

// rates are the functions that counters are for.
var rates = []string{"rate", "increase"}

// plain are counters that are looked at as they are.
var plain = []string{
	"rafflecast_participation_versions_raised_total", // one is worth a call, and it happens before the first scrape
}

// Check returns all that is wrong with an expression: names, labels and values
// that nothing shows, and metrics that are not used as their kind asks for.
func (s Scraped) Check(expression string) error {
	expr, err := parser.ParseExpr(expression)
	if err != nil {
		return err
	}
	var wrong []error
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			wrong = append(wrong, s.selector(n, path))
		case *parser.AggregateExpr:
			wrong = append(wrong, s.labels(n, n.Grouping))
		case *parser.BinaryExpr:
			if m := n.VectorMatching; m != nil {
				wrong = append(wrong, s.labels(n, slices.Concat(m.MatchingLabels, m.Include)))
			}
		}
		return nil
	})
	return errors.Join(wrong...)
}

func (s Scraped) selector(v *parser.VectorSelector, path []parser.Node) error {
	m := s[v.Name]
	if m == nil {
		return fmt.Errorf("there is no metric %q", v.Name)
	}
	wrong := []error{m.use(v.Name, path)}
	for _, matcher := range v.LabelMatchers {
		if matcher.Name != model.MetricNameLabel {
			wrong = append(wrong, m.matcher(v.Name, matcher))
		}
	}
	return errors.Join(wrong...)
}

// use checks how a metric is used by what it is an argument of, from the outermost.
func (m *Metric) use(name string, path []parser.Node) error {
	var functions []string
	keepsBounds := false
	for _, node := range path {
		switch n := node.(type) {
		case *parser.Call:
			functions = append(functions, n.Func.Name)
		case *parser.AggregateExpr:
			keepsBounds = keepsBounds || (!n.Without && slices.Contains(n.Grouping, "le"))
		}
	}
	rated := slices.ContainsFunc(functions, func(f string) bool { return slices.Contains(rates, f) })
	quantile := slices.Contains(functions, "histogram_quantile")
	switch {
	case m.Kind == Gauge && rated:
		return fmt.Errorf("%s is a gauge, and has no rate", name)
	case m.Kind != Gauge && !rated && !slices.Contains(plain, name):
		return fmt.Errorf("%s only grows: ask for its rate or increase", name)
	case m.Kind == Bucket && (!quantile || !keepsBounds):
		return fmt.Errorf("%s is for histogram_quantile, by le", name)
	case m.Kind != Bucket && quantile:
		return fmt.Errorf("%s is no bucket of a histogram", name)
	}
	return nil
}

// matcher checks that each value that is named, in or out, is one that is shown.
func (m *Metric) matcher(name string, matcher *labels.Matcher) error {
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
		is := regexp.MustCompile("^(?:" + alternative + ")$")
		found := false
		for value := range values {
			found = found || is.MatchString(value)
		}
		if !found {
			return fmt.Errorf("%s has no series with %s like %q", name, matcher.Name, alternative)
		}
	}
	return nil
}

// labels checks the labels by which an expression groups or matches.
func (s Scraped) labels(node parser.Node, used []string) error {
	var wrong []error
	for _, label := range used {
		found := false
		parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok && s[v.Name] != nil {
				_, has := s[v.Name].Values[label]
				found = found || has
			}
			return nil
		})
		if !found {
			wrong = append(wrong, fmt.Errorf("nothing in %s has the label %q", node, label))
		}
	}
	return errors.Join(wrong...)
}
