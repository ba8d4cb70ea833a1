package explain

import (
	"fmt"
	"net/http"
	"strings"
)

//go:generate go test -run TestPages -update .

// Page is the page about all reasons, in Markdown.
func Page() string {
	var b strings.Builder
	b.WriteString("# Why a request was denied\n\n" +
		"<!-- Made from internal/explain/reasons.go by `go generate ./internal/explain`. -->\n\n" +
		"Each denial has one reason. It is in the answer (`reason` of the problem, `error` of `WWW-Authenticate`), in the log, in the access\n" +
		"log's `bws_reason`, in `{http.bws.reason}` and in the metric `caddy_bws_decisions_total`. The reasons stand here in the order in " +
		"which\n" +
		"they are judged. `caddy bws check --reason <reason>` says the same; [`caddy bws check`](check.md) shows what leads to one.\n\n" +
		"| reason | status |\n|---|---|\n")
	for _, e := range Reasons {
		fmt.Fprintf(&b, "| [`%s`](#%[1]s) | %d %s |\n", e.Reason, e.Status, http.StatusText(e.Status))
	}
	for _, e := range Reasons {
		fmt.Fprintf(&b, "\n## `%s`\n\n%s\n\n", e.Reason, e.Meaning)
		if len(e.Options) > 0 {
			fmt.Fprintf(&b, "- **Depends on:** `%s`\n", strings.Join(e.Options, "`, `"))
		}
		fmt.Fprintf(&b, "- **The person:** %s\n- **The operator:** %s\n", e.User, e.Operator)
	}
	return b.String()
}

// Runbook is the part of the runbook about reasons, in Markdown.
func Runbook() string {
	var b strings.Builder
	b.WriteString("| reason | what to look at, if it is not meant |\n|---|---|\n")
	for _, e := range Reasons {
		fmt.Fprintf(&b, "| [`%s`](reasons.md#%[1]s) | %s |\n", e.Reason, e.Operator)
	}
	return b.String()
}
