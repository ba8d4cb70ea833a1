package main

import (
	"fmt"
	"html"
	"strings"
)

// makeDiagrams returns the pictures, each of which is drawn from what its own file says.
func makeDiagrams(string) (map[string]string, error) {
	return map[string]string{
		"docs/images/architecture.svg": architecture(),
		"docs/images/login.svg":        login(),
		"docs/images/sessions.svg":     sessions(),
	}, nil
}

// picture is an SVG in the making. Its classes are in [pictureHead]: the colors of lines, and how text looks.
type picture struct {
	strings.Builder
}

// colors are those that lines come in. What happens beside a request is faint.
var colors = []string{"one", "two", "three", "faint"}

const (
	cornerRadius = 8 // of boxes
	tip          = 4 // between the head of an arrow and what it points to
)

// newPicture begins a picture. The description is for those who cannot see it.
func newPicture(width, height int, title, description string) *picture {
	p := &picture{}
	fmt.Fprintf(p, pictureHead, width, height, width, height, html.EscapeString(title), html.EscapeString(description))
	p.add("<defs>")
	for _, color := range colors {
		p.add(`	<marker id="head-%s" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">`+
			`<path class="head-%s" d="M0 0 10 5 0 10z"/></marker>`, color, color)
	}
	p.add("</defs>")
	return p
}

// end returns the picture as a file.
func (p *picture) end() string {
	return p.String() + "</svg>\n"
}

// add adds an element on a line of its own.
func (p *picture) add(format string, arguments ...any) {
	fmt.Fprintf(p, "\t"+format+"\n", arguments...)
}

func (p *picture) box(x, y, width, height int) {
	p.add(`<rect x="%d" y="%d" width="%d" height="%d" rx="%d"/>`, x, y, width, height, cornerRadius)
}

// frame is around what belongs together.
func (p *picture) frame(x, y, width, height int) {
	p.add(`<rect class="faint" x="%d" y="%d" width="%d" height="%d" rx="%d"/>`, x, y, width, height, cornerRadius+4)
}

// text adds text at its baseline.
func (p *picture) text(class string, x, y int, text string) {
	p.add(`<text class="%s" x="%d" y="%d">%s</text>`, class, x, y, html.EscapeString(text))
}

// line adds a line without a head. Way is in the language of paths.
func (p *picture) line(color, way string) {
	p.add(`<path class="%s" d="%s"/>`, color, way)
}

func (p *picture) arrow(color, way string) {
	p.add(`<path class="%s" d="%s" marker-end="url(#head-%s)"/>`, color, way, color)
}

// exchange is an arrow with a head at both ends.
func (p *picture) exchange(color, way string) {
	p.add(`<path class="%s" d="%s" marker-start="url(#head-%s)" marker-end="url(#head-%s)"/>`, color, way, color, color)
}

// number adds a number in a circle, around x and y.
func (p *picture) number(color string, x, y, number int) {
	p.add(`<circle class="%s" cx="%d" cy="%d" r="11"/>`, color, x, y)
	p.text("number", x, y+5, fmt.Sprint(number))
}

// across is the way from one place to another, which it does not touch, at the height y.
func across(from, to, y int) string {
	if to > from {
		return fmt.Sprintf("M%d %dH%d", from, y, to-tip)
	}
	return fmt.Sprintf("M%d %dH%d", from, y, to+tip)
}

// pictureHead has the looks that pictures have in common, on light and on dark.
const pictureHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img"
	aria-labelledby="title description" font-size="13"
	font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif">
	<title id="title">%s</title>
	<desc id="description">%s</desc>
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
		rect.faint { fill: none; }
		text { fill: var(--ink); }
		.plain { text-anchor: start; }
		.name { font-size: 16px; font-weight: 600; }
		.dim { fill: var(--dim); }
		.file { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 12px; fill: var(--dim); }
		.middle, .label, .number { text-anchor: middle; }
		.label { paint-order: stroke; stroke: var(--back); stroke-width: 4; }
		.number { font-weight: 700; fill: var(--back); }
		path { fill: none; stroke-width: 2; }
		.one { stroke: var(--one); } .two { stroke: var(--two); } .three { stroke: var(--three); }
		.faint { stroke: var(--line); stroke-width: 1.5; stroke-dasharray: 5 4; }
		circle { stroke: none; }
		.head-one, circle.one { fill: var(--one); } .head-two, circle.two { fill: var(--two); }
		.head-three, circle.three { fill: var(--three); } .head-faint { fill: var(--line); }
	</style>
`
