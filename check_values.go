package caddybws

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"
)

func firstError(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkRedirect finds a mistake in the target of an option, as far as it is written out: placeholders are looked at once they are
// resolved.
func checkRedirect(option, written string) error {
	if hasPlaceholder(written) {
		return nil
	}
	return checkResolvedRedirect(option, written, written)
}

// resolveRedirect returns the target of an option.
func resolveRedirect(option, written string) (string, error) {
	to, err := resolve(written)
	if err != nil {
		return "", fmt.Errorf("%s: %w", option, err)
	}
	return to, checkResolvedRedirect(option, written, to)
}

// checkResolvedRedirect accepts an absolute http or https URL, or a path of this site. It quotes what the operator has written, and
// not what a placeholder in it holds.
func checkResolvedRedirect(option, written, to string) error {
	u, err := url.Parse(to)
	web := err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
	local := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/") && !strings.HasPrefix(to, "//")
	if !web && !local || strings.ContainsAny(to, "\\") {
		return fmt.Errorf("%s: %q is neither an http or https URL nor a path that begins with /; write one of them", option, written)
	}
	return nil
}

// checkCookieName accepts what may name a cookie; an empty name stands for the default.
func checkCookieName(option, name string) error {
	// A cookie's name follows the grammar of a header's.
	if name != "" && !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%s: %q is not a valid name; use letters, digits, - and _", option, name)
	}
	return nil
}

func checkDuration(option string, value caddy.Duration, least, most time.Duration) error {
	if d := time.Duration(value); d < least || d > most {
		return fmt.Errorf("%s: %s is out of bounds: use %s to %s", option, d, least, most)
	}
	return nil
}

func checkCount(option string, value, most int) error {
	if value < 1 || value > most {
		return fmt.Errorf("%s: %d is out of bounds: use 1 to %d", option, value, most)
	}
	return nil
}

func checkFraction(option string, value float64) error {
	if !(value >= 0 && value <= 1) {
		return fmt.Errorf("%s: %v is out of bounds: use 0 to 1", option, value)
	}
	return nil
}
