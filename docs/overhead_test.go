package main

import (
	"strings"
	"testing"
)

func TestWriteColumns(t *testing.T) {
	const head = "|  | added CPU per request, µs | req/s beside ungated | p50, ms | BWS calls per request |\n|---|---|---|---|---|\n"
	for name, tt := range map[string]struct{ section, want, mistake string }{
		"table": {
			section: "Words.\n\n" + head + "| a | 1 | 2 | 3 | 4 |\n\nMore words.\n",
			want: "\n|  | added CPU per request, µs | req/s beside ungated | BWS calls per request |\n" +
				"| --- | --- | --- | --- |\n| a | 1 | 2 | 4 |\n",
		},
		"no table":  {section: "Words.\n", mistake: "no table"},
		"no column": {section: strings.Replace(head, "BWS calls", "calls", 1), mistake: `no column "BWS calls per request"`},
		"short row": {section: head + "| a | 1 |\n", mistake: "too short"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			err := writeColumns(&b, tt.section)
			switch {
			case tt.mistake != "" && (err == nil || !strings.Contains(err.Error(), tt.mistake)):
				t.Errorf("error %v, want %q", err, tt.mistake)
			case tt.mistake == "" && (err != nil || b.String() != tt.want):
				t.Errorf("%v, got\n%s\nwant\n%s", err, b.String(), tt.want)
			}
		})
	}
}
