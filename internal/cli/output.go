package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
)

// output prints what a command has found, as text or as JSON.
type output struct{ json bool }

func (o *output) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "Print one JSON document")
}

// print prints a document with text, or as JSON.
func (o *output) print(cmd *cobra.Command, document any, text func(w io.Writer)) error {
	if !o.json {
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		text(w)
		return w.Flush()
	}
	encoded, err := json.Marshal(document, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(append(encoded, '\n'))
	return err
}

// row prints cells of a table.
func row(w io.Writer, cells ...any) {
	text := make([]string, len(cells))
	for i, cell := range cells {
		text[i] = fmt.Sprint(cell)
	}
	fmt.Fprintln(w, strings.Join(text, "\t"))
}

// plain is a text of others, fit for a terminal.
func plain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

// orNone is a text that may be empty.
func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return plain(s)
}

// span writes a duration in whole seconds.
func span(d time.Duration) string { return d.Round(time.Second).String() }

// point writes a point in time, and how far it is away.
func point(t, now time.Time) string {
	distance := now.Sub(t)
	if distance < 0 {
		return fmt.Sprintf("%s (in %s)", t.Format(time.RFC3339), span(-distance))
	}
	return fmt.Sprintf("%s (%s ago)", t.Format(time.RFC3339), span(distance))
}
