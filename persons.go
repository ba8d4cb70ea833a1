package caddybws

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bws/caddy-bws/bws"
)

// persons are the patterns of a gate's bcid option: those that never change, and those that depend on the request.
type persons struct {
	fixed     []bws.Pattern
	templates []personTemplate
}

// personTemplate is a pattern with placeholders: one alone that yields a whole BCID, or up to three parts.
type personTemplate struct {
	whole string
	parts []string
}

var errUnbalanced = errors.New("a brace is not closed, or closed without being opened; write {placeholder}")

func parsePersons(patterns []string) (persons, error) {
	var p persons
	for _, pattern := range patterns {
		if !hasPlaceholder(pattern) {
			fixed, err := bws.ParsePattern(pattern)
			if err != nil {
				return persons{}, fmt.Errorf("bcid %q: %w", pattern, err)
			}
			p.fixed = append(p.fixed, fixed)
			continue
		}
		template, err := parsePersonTemplate(pattern)
		if err != nil {
			return persons{}, err
		}
		p.templates = append(p.templates, template)
	}
	return p, nil
}

func parsePersonTemplate(pattern string) (personTemplate, error) {
	parts, balanced := splitTemplate(pattern)
	if !balanced {
		return personTemplate{}, fmt.Errorf("bcid %q: %w", pattern, errUnbalanced)
	}
	if isOnePlaceholder(pattern) {
		return personTemplate{whole: pattern}, nil
	}
	if len(parts) != 3 {
		return personTemplate{}, fmt.Errorf("bcid %q: write storage/partition/class, or one placeholder alone", pattern)
	}
	sample := sampleOf(parts)
	if _, err := bws.PatternOf(sample[0], sample[1], sample[2]); err != nil {
		return personTemplate{}, fmt.Errorf("bcid %q: %w", pattern, err)
	}
	return personTemplate{parts: parts}, nil
}

// splitTemplate splits at the separators of a BCID that are not inside a placeholder, whose names have dots too. It is false
// for braces that are no placeholders.
func splitTemplate(pattern string) (parts []string, balanced bool) {
	inside, start := false, 0
	for i, c := range pattern {
		switch {
		case c == '{' || c == '}':
			if inside == (c == '{') {
				return nil, false
			}
			inside = !inside
		case (c == '/' || c == '.') && !inside:
			parts = append(parts, pattern[start:i])
			start = i + 1
		}
	}
	return append(parts, pattern[start:]), !inside
}

// sampleOf puts parts that are possible in place of those that hold placeholders. What is fixed must be possible, whatever they will
// yield.
func sampleOf(parts []string) []string {
	sample := []string{"x", "1", "1"}
	for i, part := range parts {
		if !hasPlaceholder(part) {
			sample[i] = part
		}
	}
	return sample
}

// resolve returns the patterns for this request. A template that does not yield a possible pattern matches nobody.
func (p *persons) resolve(v *visit, repl *caddy.Replacer) []bws.Pattern {
	if len(p.templates) == 0 {
		return p.fixed
	}
	v.silent = true
	defer func() { v.silent = false }()

	resolved := make([]bws.Pattern, len(p.fixed), len(p.fixed)+len(p.templates))
	copy(resolved, p.fixed)
	for i := range p.templates {
		if pattern, ok := p.templates[i].resolve(repl); ok {
			resolved = append(resolved, pattern)
		}
	}
	return resolved
}

func (t *personTemplate) resolve(repl *caddy.Replacer) (bws.Pattern, bool) {
	if t.whole != "" {
		person, err := bws.ParseBCID(repl.ReplaceAll(t.whole, ""))
		return bws.PatternFor(person), err == nil && person.IsPerson()
	}
	var parts [3]string
	for i, part := range t.parts {
		parts[i] = part
		if hasPlaceholder(part) {
			// A star is a wildcard only where the operator has written it.
			if parts[i] = repl.ReplaceAll(part, ""); parts[i] == "*" {
				return bws.Pattern{}, false
			}
		}
	}
	pattern, err := bws.PatternOf(parts[0], parts[1], parts[2])
	return pattern, err == nil
}

func hasPlaceholder(s string) bool { return strings.Contains(s, "{") }

// isOnePlaceholder reports whether there is nothing but one placeholder in a template whose braces are balanced.
func isOnePlaceholder(template string) bool {
	return strings.HasPrefix(template, "{") && strings.Index(template, "}") == len(template)-1
}
