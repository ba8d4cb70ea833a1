package main

// legend says what the numbers in the picture of sessions mean, in the order of [colors].
var legend = []string{
	"First request. The node asks BWS, and seals the answer into a cookie with a key that all nodes have.",
	"Later requests, to any node. It opens the cookie and judges: no call to BWS, none to the storage.",
	"Spending a token (“once”) and logging out, on any node. The request waits for the storage.",
	"In the background: each node reads new revocations every 5 s, and keys every minute.",
}

const sessionsDescription = "The browser sends its token once, to node A, which asks BWS and answers with a session cookie. " +
	"Later requests bring the cookie to any node, which opens it without asking anybody. In the background both nodes read keys and " +
	"revocations from the storage they share. Spending a token and revoking a session write to the storage while the request waits."

// sessions draws who asks whom while a session lasts, on two nodes.
func sessions() string {
	p := newPicture(800, 500, "Sessions of two nodes", sessionsDescription)
	p.place(20, 140, 130, 90, "browser", "token, session")
	p.place(330, 50, 150, 80, "node A", "gate")
	p.place(330, 240, 150, 80, "node B", "gate")
	p.place(650, 50, 130, 80, "BWS")
	p.place(650, 215, 130, 130, "storage", "keys", "revocations", "spent tokens")

	p.exchange("one", "M154 157L326 88")
	p.number("one", 220, 104, 1)
	p.text("middle", 146, 92, "token, and back")
	p.text("middle", 146, 109, "the session")
	p.arrow("one", across(480, 650, 80))
	p.number("one", 563, 60, 1)
	p.text("label", 563, 100, "what came of it?")

	p.arrow("two", "M150 200L326 266")
	p.number("two", 222, 248, 2)
	p.text("middle", 174, 253, "session")

	p.exchange("three", across(480+tip, 650, 262))
	p.number("three", 563, 243, 3)
	p.text("label", 563, 281, "claim, revoke")

	p.arrow("faint", across(650, 480, 300))
	p.text("label", 563, 319, "every 5 s")
	p.arrow("faint", "M650 228L484 122")
	p.text("label", 526, 194, "every 5 s")

	for i, text := range legend {
		y := 383 + 30*i
		if color := colors[i]; color == "faint" {
			p.arrow(color, across(22, 52, y))
		} else {
			p.number(color, 34, y, i+1)
		}
		p.text("plain", 60, y+5, text)
	}
	return p.end()
}

// place draws a box with a name, and below it what is there, around the box's middle.
func (p *picture) place(x, y, width, height int, name string, what ...string) {
	const line = 22
	p.box(x, y, width, height)
	baseline := y + (height-line*len(what))/2 + 5
	p.text("name middle", x+width/2, baseline, name)
	for _, text := range what {
		baseline += line
		p.text("dim middle", x+width/2, baseline, text)
	}
}
