package caddybws

import (
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Errors about a wrong number of values do not show the values, of which one may be a secret.

// eachOption reads the options of a block, of which only the repeatable ones may occur twice.
func eachOption(d *caddyfile.Dispenser, repeatable []string, read func(option string) error) error {
	seen := make(map[string]int)
	last := ""
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if option == "{" && last != "" {
			return d.Errf("%s takes no block; remove it", last)
		}
		if line, repeated := seen[option]; repeated && !slices.Contains(repeatable, option) {
			return d.Errf("%s is given twice, first on line %d; keep one", option, line)
		}
		seen[option], last = d.Line(), option
		if err := read(option); err != nil {
			return err
		}
	}
	return nil
}

func unknownOption(d *caddyfile.Dispenser, known string) error {
	return d.Errf("unknown option %q: use one of %s", d.Val(), known)
}

// located adds the current line to a mistake, if there is one.
func located(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// serviceArg reads the name of a service where one is given.
func serviceArg(d *caddyfile.Dispenser, name *string) error {
	directive := d.Val()
	if !d.NextArg() {
		return nil
	}
	*name = d.Val()
	if err := checkServiceName(*name); err != nil {
		return d.WrapErr(err)
	}
	return noArg(d, directive+" "+*name)
}

func noArg(d *caddyfile.Dispenser, option string) error {
	if d.NextArg() {
		return d.Errf("%s takes no further value; remove what follows it", option)
	}
	return nil
}

// oneArg reads a value. An empty one is refused: it is what a forgotten variable leaves behind, and not a wish for the default.
func oneArg(d *caddyfile.Dispenser, option string, value *string) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("%s takes one value, but %d are given; write exactly one", option, len(args))
	}
	if args[0] == "" {
		return d.Errf("%s is empty; write a value", option)
	}
	*value = args[0]
	return nil
}

func someArgs[T ~string](d *caddyfile.Dispenser, option string, values *[]T) error {
	for _, arg := range d.RemainingArgs() {
		*values = append(*values, T(arg))
	}
	if len(*values) == 0 {
		return d.Errf("%s takes at least one value, but none is given; write one, or remove %s", option, option)
	}
	return nil
}

func durationArg(d *caddyfile.Dispenser, option string, value *caddy.Duration, least, most time.Duration) error {
	var text string
	if err := oneArg(d, option, &text); err != nil {
		return err
	}
	return parseDuration(d, option, text, value, least, most)
}

func parseDuration(d *caddyfile.Dispenser, option, text string, value *caddy.Duration, least, most time.Duration) error {
	parsed, err := caddy.ParseDuration(text)
	if err != nil {
		return d.Errf("%s: %q is not a duration: write a number with a unit, such as 30s or 5m", option, text)
	}
	*value = caddy.Duration(parsed)
	// Zero would pass for an option that is not given.
	return located(d, checkDuration(option, *value, least, most))
}

func countArg(d *caddyfile.Dispenser, option string, value *int, most int) error {
	var text string
	if err := oneArg(d, option, &text); err != nil {
		return err
	}
	return parseCount(d, option, text, value, most)
}

func parseCount(d *caddyfile.Dispenser, option, text string, value *int, most int) error {
	var err error
	if *value, err = strconv.Atoi(text); err != nil {
		return d.Errf("%s: %q is not a whole number: use 1 to %d", option, text, most)
	}
	return located(d, checkCount(option, *value, most))
}

func numberArg(d *caddyfile.Dispenser, option string, value *float64) error {
	var text string
	if err := oneArg(d, option, &text); err != nil {
		return err
	}
	var err error
	if *value, err = strconv.ParseFloat(text, 64); err != nil {
		return d.Errf("%s: %q is not a number: use 0 to 1, such as 0.7", option, text)
	}
	return nil
}
