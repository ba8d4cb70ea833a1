package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/caddy-bws/caddy-bws/internal/explain"
)

// printReport writes what would become of a request, for people.
func printReport(w io.Writer, r *explain.Report) {
	fmt.Fprintf(w, "%s\n", plain(r.Request))
	switch r.Decision {
	case explain.Allow:
		fmt.Fprint(w, "is let through")
	case explain.Deny:
		fmt.Fprintf(w, "is denied: %s", r.Reason)
	default:
		fmt.Fprint(w, "is open: no gate looks at it")
	}
	fmt.Fprintf(w, " (server %s)\n", r.Server)
	for _, step := range r.Steps {
		printStep(w, &step)
	}
	printList(w, "Taken for granted:", r.Notes)
	printList(w, "Warnings:", r.Warnings)
}

func printList(w io.Writer, title string, texts []string) {
	if len(texts) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, text := range texts {
		fmt.Fprintf(w, "  - %s\n", text)
	}
}

func printStep(w io.Writer, s *explain.Step) {
	fmt.Fprintf(w, "\n%s at %s", s.Handler, s.Path)
	switch {
	case s.Gate != nil:
		printGate(w, s)
		return
	case len(s.NotMatched) > 0:
		fmt.Fprintf(w, ": does not match: %s", plain(strings.Join(s.NotMatched, "; ")))
	case s.NotReached:
		fmt.Fprint(w, ": is not reached")
	}
	if s.Remark != "" {
		fmt.Fprintf(w, ": %s", plain(s.Remark))
	}
	fmt.Fprintln(w)
}

func printGate(w io.Writer, s *explain.Step) {
	g := s.Gate
	fmt.Fprintf(w, ", service %s: %s", g.Service, g.Decision)
	if g.Reason != "" {
		fmt.Fprintf(w, " %s", g.Reason)
	}
	switch {
	case s.NotReached:
		fmt.Fprint(w, ", were it reached")
	case g.ReportOnly && g.Reason != "":
		fmt.Fprint(w, ", which it only reports")
	}
	fmt.Fprintln(w)
	row(w, "  option", "demanded", "found", "")
	for _, o := range g.Options {
		row(w, "  "+o.Name, plain(o.Demanded), plain(o.Found), o.Verdict)
	}
	if g.Reason != "" {
		fmt.Fprintf(w, "  Why: %s\n", g.Meaning)
		if g.Demanded != "" {
			fmt.Fprintf(w, "  Found: %s. Demanded: %s.\n", plain(g.Found), plain(g.Demanded))
		}
		fmt.Fprintf(w, "  What to do: %s\n", g.Remedy)
	}
	if a := g.Answer; a != nil {
		fmt.Fprintf(w, "  The client gets: %d, %s\n", a.Status, answerWords[a.Kind])
		names := make([]string, 0, len(a.Header))
		for name := range a.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			for _, value := range a.Header[name] {
				fmt.Fprintf(w, "    %s: %s\n", name, plain(value))
			}
		}
	}
	for _, warning := range g.Warnings {
		fmt.Fprintf(w, "  Warning: %s\n", warning)
	}
}

// answerWords describe the kinds of an answer.
var answerWords = map[string]string{
	"page":     "a page that says so",
	"problem":  "a problem in JSON",
	"redirect": "a redirect",
	"login":    "a redirect to the camera page, where a login begins",
	"error":    "what handle_errors makes of it",
	"detour":   "a page that loads itself again, so that the session's cookie comes along",
}
