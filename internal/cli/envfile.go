package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// loadEnvfile adds the variables of a file to the environment, in the notation of Caddy's --envfile, which keeps its reader to
// itself. What is set already stays.
func loadEnvfile(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("--envfile: %w", err)
	}
	defer file.Close()
	variables, err := parseEnvfile(file)
	if err != nil {
		return fmt.Errorf("--envfile %s: %w", name, err)
	}
	for key, value := range variables {
		if _, set := os.LookupEnv(key); set {
			continue
		}
		if err := os.Setenv(key, value); err != nil {
			return fmt.Errorf("--envfile %s: %w", name, err)
		}
	}
	return nil
}

// parseEnvfile reads lines of the form KEY=VALUE. Syntax:
//
//	# comment
//	[export ]KEY=value # comment
//	KEY="value, of as many lines as it takes to the quote, in which \" is one"
//	KEY='the same'
//
// Errors name the line and show nothing of it.
func parseEnvfile(r io.Reader) (map[string]string, error) {
	variables := make(map[string]string)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		key = strings.TrimPrefix(key, "export ")
		if !found || key == "" || strings.Contains(key, " ") {
			return nil, fmt.Errorf("line %d is not of the form KEY=VALUE", n)
		}
		if strings.HasPrefix(value, " ") || strings.HasPrefix(value, "\t") {
			return nil, fmt.Errorf("line %d has a blank before the value: remove it", n)
		}
		if before, _, comment := strings.Cut(value, "#"); comment {
			value = strings.TrimRight(before, " \t")
		}
		if quote := quoteOf(value); quote != "" {
			for last := line; !closes(last, quote); n++ {
				value = unescape(value, quote)
				if !lines.Scan() {
					break
				}
				last = unescape(lines.Text(), quote)
				value += "\n" + last
			}
			value = strings.TrimSuffix(strings.TrimPrefix(value, quote), quote)
		}
		variables[key] = value
	}
	return variables, lines.Err()
}

// quoteOf returns the quote that a value begins with.
func quoteOf(value string) string {
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "'") {
		return value[:1]
	}
	return ""
}

func closes(line, quote string) bool {
	return strings.HasSuffix(line, quote) && !strings.HasSuffix(line, `\`+quote)
}

func unescape(s, quote string) string { return strings.ReplaceAll(s, `\`+quote, quote) }
