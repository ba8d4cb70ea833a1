package main

import (
	"fmt"
	"html"
	"strings"
)

// makeDiagrams returns the pictures that are drawn from what this file says.
func makeDiagrams(string) (map[string]string, error) {
	return map[string]string{"docs/images/architecture.svg": architecture()}, nil
}

// step is a part of a request's way through the gate.
type step struct {
	name, what, files string
	// packages do the work, outside is who is asked.
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
	{"allow", "identity headers, session, next handler", "identity.go  session.go  stream.go", "", "app", "two"},
	{"deny", "begin of a login, page, JSON, error or redirect", "login_begin.go  deny.go  denials.go  page.go", "", "", "three"},
}

// Places in steps: that which answers by itself, and the first and the last of those that may deny.
const (
	returns = 1
	finds   = 3
	spends  = 6
)

const (
	rowHeight, rowGap, top       = 58, 18, 56
	browserX, browserW           = 20, 96
	stepX, stepW                 = 190, 390
	packageX, packageW           = 640, 180
	outsideX, outsideW           = 880, 160
	width                        = outsideX + outsideW + 20
	middle                       = rowHeight / 2
	gateMargin                   = 28
	textBaseline, secondBaseline = 24, 44
)

// architecture draws a request's way through the gate: what each step does, in which files, with which packages, and whom it asks.
func architecture() string {
	height := top + len(steps)*(rowHeight+rowGap) + 20
	var b strings.Builder
	fmt.Fprintf(&b, pictureHead, width, height, width, height)
	b.WriteString(pictureHeads())
	bottom := rowY(len(steps)-1) + rowHeight
	fmt.Fprintf(&b, "\t<rect class=\"gate\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"12\"/>\n", stepX-gateMargin, top-42,
		packageX+packageW-stepX+2*gateMargin, bottom-top+58)
	for _, column := range []struct {
		x    int
		text string
	}{{stepX, "the gate, package caddybws"}, {packageX, "packages"}, {outsideX, "outside"}} {
		fmt.Fprintf(&b, "\t<text class=\"dim\" x=\"%d\" y=\"%d\">%s</text>\n", column.x, top-18, column.text)
	}
	box(&b, browserX, top, browserW, bottom-top)
	fmt.Fprintf(&b, "\t<text class=\"name\" x=\"%d\" y=\"%d\">browser</text>\n", browserX+14, (top+bottom)/2)
	arrow(&b, "one", browserX+browserW, rowY(0)+middle, stepX-5, rowY(0)+middle)
	arrow(&b, "three", stepX, rowY(len(steps)-1)+middle, browserX+browserW+5, rowY(len(steps)-1)+middle)
	for i, s := range steps {
		s.draw(&b, rowY(i))
		if i > 0 && i < len(steps)-1 {
			arrow(&b, s.color, stepX+40, rowY(i-1)+rowHeight, stepX+40, rowY(i)-4)
		}
	}
	arrow(&b, "one", stepX, rowY(returns)+middle, browserX+browserW+5, rowY(returns)+middle)
	for i := finds; i <= spends; i++ {
		fmt.Fprintf(&b, "\t<path class=\"three\" d=\"M%d %dh-14\"/>\n", stepX, rowY(i)+middle)
	}
	fmt.Fprintf(&b, "\t<path class=\"three\" d=\"M%d %dV%dh9\" marker-end=\"url(#head-three)\"/>\n", stepX-14, rowY(finds)+middle,
		rowY(len(steps)-1)+middle-14)
	b.WriteString("</svg>\n")
	return b.String()
}

func rowY(i int) int { return top + i*(rowHeight+rowGap) }

// draw draws a step, with what it uses.
func (s *step) draw(b *strings.Builder, y int) {
	box(b, stepX, y, stepW, rowHeight)
	fmt.Fprintf(b, "\t<text x=\"%d\" y=\"%d\"><tspan class=\"name\">%s</tspan> %s</text>\n", stepX+12, y+textBaseline, s.name,
		html.EscapeString(s.what))
	fmt.Fprintf(b, "\t<text class=\"file\" x=\"%d\" y=\"%d\">%s</text>\n", stepX+12, y+secondBaseline, s.files)
	from := stepX + stepW
	if s.packages != "" {
		arrow(b, s.color, from, y+middle, packageX-5, y+middle)
		box(b, packageX, y, packageW, rowHeight)
		for i, name := range strings.Split(s.packages, "  ") {
			fmt.Fprintf(b, "\t<text class=\"file\" x=\"%d\" y=\"%d\">%s</text>\n", packageX+12, y+textBaseline+20*i, name)
		}
		from = packageX + packageW
	}
	if s.outside != "" {
		arrow(b, s.color, from, y+middle, outsideX-5, y+middle)
		box(b, outsideX, y, outsideW, rowHeight)
		first, rest, _ := strings.Cut(s.outside, " ")
		fmt.Fprintf(b, "\t<text class=\"name\" x=\"%d\" y=\"%d\">%s</text>\n", outsideX+12, y+textBaseline, strings.TrimSuffix(first, ","))
		fmt.Fprintf(b, "\t<text class=\"dim\" x=\"%d\" y=\"%d\">%s</text>\n", outsideX+12, y+secondBaseline, rest)
	}
}

func box(b *strings.Builder, x, y, w, h int) {
	fmt.Fprintf(b, "\t<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", x, y, w, h)
}

func arrow(b *strings.Builder, color string, fromX, fromY, toX, toY int) {
	fmt.Fprintf(b, "\t<path class=\"%s\" d=\"M%d %dL%d %d\" marker-end=\"url(#head-%s)\"/>\n", color, fromX, fromY, toX, toY, color)
}

// pictureHead has the looks that pictures have in common, on light and on dark.
const pictureHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img"
	aria-labelledby="title description" font-size="13"
	font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif">
	<title id="title">A request's way through the gate</title>
	<desc id="description">The steps of the gate from top to bottom, with the files that they are in, the packages that they use, and
		whom they ask. A request is stripped of forged headers. If it is the return from a login, that is finished. Else evidence is
		recalled from an earlier gate, opened from a session, or found by the token, for which BWS is asked unless its answer is
		remembered. The evidence is judged by the policy. With once, the token is spent in the storage. Then the request is allowed,
		and goes to the app. Each of the steps from session to once can deny it instead, which answers the browser.</desc>
	<style>
		svg {
			color-scheme: light dark; background: var(--back);
			--ink: #1f2328; --dim: #59636e; --box: #eef1f4; --line: #848d97; --back: #ffffff;
			--one: #0550ae; --two: #116329; --three: #953800;
		}
		@media (prefers-color-scheme: dark) {
			svg {
				--ink: #f0f3f6; --dim: #b1bac4; --box: #21262d; --line: #7d8590; --back: #0d1117;
				--one: #79c0ff; --two: #56d364; --three: #ffa657;
			}
		}
		rect { fill: var(--box); stroke: var(--line); stroke-width: 1.5; }
		.gate { fill: none; stroke-dasharray: 4 5; }
		text { fill: var(--ink); }
		.name { font-size: 16px; font-weight: 600; }
		.dim { fill: var(--dim); }
		.file { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 12px; fill: var(--dim); }
		path { fill: none; stroke-width: 2; }
		.one { stroke: var(--one); } .two { stroke: var(--two); } .three { stroke: var(--three); }
		marker path { stroke: none; }
		.head-one { fill: var(--one); } .head-two { fill: var(--two); } .head-three { fill: var(--three); }
	</style>
	<defs>
`

// pictureHeads are the heads of arrows, one for each color.
func pictureHeads() string {
	var b strings.Builder
	for _, color := range []string{"one", "two", "three"} {
		fmt.Fprintf(&b, "\t\t<marker id=\"head-%s\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" "+
			"orient=\"auto\"><path class=\"head-%s\" d=\"M0 0 10 5 0 10z\"/></marker>\n", color, color)
	}
	return b.String() + "\t</defs>\n"
}
