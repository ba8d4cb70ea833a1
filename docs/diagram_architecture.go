package main

import (
	"fmt"
	"html"
	"strings"
)

// step is a part of a request's way through the gate.
type step struct {
	name, what, files string
	// packages do the work, outside is who is asked or told.
	packages, outside string
	color             string
}

var steps = []step{
	{"strip", "identity headers that a client may have forged", "identity.go", "", "", "one"},
	{"return", "of a login, if the request is one", "login_return.go  login_state.go", "internal/sealed", "", "one"},
	{"recall", "what an earlier gate of this request found", "visit.go", "internal/evidence", "", "one"},
	{"session", "cookie → evidence", "session.go  cookie.go", "internal/session  internal/ledger", "storage (not per request)", "one"},
	{"token", "cookie or header → evidence", "credentials.go  verify.go", "internal/verifier  bws", "BWS, unless remembered", "one"},
	{"judge", "evidence → allow, or one reason", "handler.go  persons.go", "internal/policy", "", "one"},
	{"once", "spend the token, or see that it is spent", "once.go", "internal/ledger", "storage", "one"},
	{"vouch", "sign what was decided, for the app to verify", "assertion.go", "internal/assertion  internal/ledger", "", "one"},
	{"allow", "identity headers, session, next handler", "identity.go  session.go  stream.go", "", "app", "two"},
	{"deny", "a login, a page, JSON, an error or a redirect", "login_begin.go  deny.go  denials.go  page.go", "", "", "three"},
	{"record", "the decision, for those who watch", "record.go  metrics.go  events.go  audit.go", "", "metrics, events, logs, audit", "faint"},
}

// Places in steps: the one that answers by itself, the first and the last of those that may deny, and what follows them.
const (
	returns = 1
	finds   = 3
	vouches = 7
	allows  = 8
	denies  = 9
	records = 10
)

const (
	rowHeight, rowGap, top       = 58, 18, 56
	browserX, browserW           = 20, 96
	stepX, stepW                 = 190, 390
	packageX, packageW           = 640, 180
	outsideX, outsideW           = 880, 160
	middle                       = rowHeight / 2
	aside                        = 14 // how far from the steps lines pass them
	gateMargin                   = 28
	textBaseline, secondBaseline = 24, 44
)

const architectureDescription = "The steps of the gate from top to bottom, with the files that they are in, the packages that " +
	"they use, and whom they ask. A request is stripped of forged headers. If it is the return from a login, that is finished. Else " +
	"evidence is recalled from an earlier gate, opened from a session, or found by the token, for which BWS is asked unless its answer " +
	"is remembered. The evidence is judged by the policy. With once, the token is spent in the storage. An assertion is signed if the " +
	"app wants one. Then the request is allowed, and goes to the app. Each of the steps from session to vouch can deny it instead, " +
	"which answers the browser. Either is recorded: in metrics, events, the log and the audit log."

// architecture draws a request's way through the gate: what each step does, in which files, with which packages, and whom it asks.
func architecture() string {
	bottom := rowY(records) + rowHeight
	p := newPicture(outsideX+outsideW+20, bottom+38, "A request's way through the gate", architectureDescription)
	p.frame(stepX-gateMargin, top-42, packageX+packageW-stepX+2*gateMargin, bottom-top+58)
	p.text("dim", stepX, top-18, "the gate, package caddybws")
	p.text("dim", packageX, top-18, "packages")
	p.text("dim", outsideX, top-18, "outside")
	p.box(browserX, top, browserW, rowY(denies)+rowHeight-top)
	p.text("name middle", browserX+browserW/2, (top+rowY(denies)+rowHeight)/2, "browser")
	for i, s := range steps {
		p.step(&s, rowY(i))
	}
	p.ways()
	return p.end()
}

func rowY(i int) int { return top + i*(rowHeight+rowGap) }

// ways draws how a request comes from one step to others.
func (p *picture) ways() {
	p.arrow("one", across(browserX+browserW, stepX, rowY(0)+middle))
	p.arrow("one", across(stepX, browserX+browserW, rowY(returns)+middle))
	p.arrow("three", across(stepX, browserX+browserW, rowY(denies)+middle))
	for i := 1; i <= allows; i++ {
		p.arrow(steps[i].color, down(i))
	}
	for i := finds; i <= vouches; i++ {
		p.line("three", fmt.Sprintf("M%d %dh-%d", stepX, rowY(i)+middle, aside))
	}
	p.arrow("three", fmt.Sprintf("M%d %dV%dH%d", stepX-aside, rowY(finds)+middle, rowY(denies)+middle-aside, stepX-tip))
	p.arrow("faint", down(records))
	p.arrow("faint", fmt.Sprintf("M%d %dh%dV%dH%d", stepX+stepW, rowY(allows)+middle+aside, aside, rowY(records)+middle-aside,
		stepX+stepW+tip))
}

// down is the way to a step from the one above.
func down(to int) string {
	return fmt.Sprintf("M%d %dV%d", stepX+40, rowY(to-1)+rowHeight, rowY(to)-tip)
}

// step draws a step, with what it uses.
func (p *picture) step(s *step, y int) {
	p.box(stepX, y, stepW, rowHeight)
	p.add(`<text x="%d" y="%d"><tspan class="name">%s</tspan> %s</text>`, stepX+12, y+textBaseline, s.name, html.EscapeString(s.what))
	p.text("file", stepX+12, y+secondBaseline, s.files)
	from := stepX + stepW
	if s.packages != "" {
		p.arrow(s.color, across(from, packageX, y+middle))
		p.box(packageX, y, packageW, rowHeight)
		for i, name := range strings.Fields(s.packages) {
			p.text("file", packageX+12, y+textBaseline+20*i, name)
		}
		from = packageX + packageW
	}
	if s.outside != "" {
		p.arrow(s.color, across(from, outsideX, y+middle))
		p.box(outsideX, y, outsideW, rowHeight)
		first, rest, _ := strings.Cut(s.outside, " ")
		p.text("name", outsideX+12, y+textBaseline, strings.TrimSuffix(first, ","))
		p.text("dim", outsideX+12, y+secondBaseline, rest)
	}
}
