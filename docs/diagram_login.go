package main

import "fmt"

// party is who takes part in a login.
type party int

const (
	atBrowser party = iota
	atGate
	atApp
	atBWS
)

// parties are from left to right, each with the middle and the width of its box.
var parties = []struct {
	name, what string
	x, width   int
}{
	atBrowser: {"browser", "", 85, 130},
	atGate:    {"gate", "", 365, 130},
	atApp:     {"app", "", 545, 100},
	atBWS:     {"BWS", "camera page, API", 715, 130},
}

// message is what one party sends to another, with a cookie or without.
type message struct {
	from, to party
	text     string
	cookie   string
	// answered says that the answer is part of it.
	answered bool
}

// phase is a part of a login, in a color of its own.
type phase struct {
	color    string
	messages []message
}

var phases = []phase{
	{"one", []message{
		{from: atBrowser, to: atGate, text: "GET /stock?shelf=B"},
		{from: atGate, to: atBWS, text: "a token for bws/1/42", answered: true},
		{from: atGate, to: atBrowser, text: "303 to camera page, token, state", cookie: "Set-Cookie: …bws_login_at_…"},
	}},
	{"three", []message{
		{from: atBrowser, to: atBWS, text: "camera page, token, state"},
		{from: atBrowser, to: atBWS, text: "pictures, and the comparison", answered: true},
		{from: atBWS, to: atBrowser, text: "back to /stock, token, state"},
	}},
	{"two", []message{
		{from: atBrowser, to: atGate, text: "GET /stock?access_token=…&state=…", cookie: "Cookie: …bws_login_at_…"},
		{from: atGate, to: atBWS, text: "what came of it?", answered: true},
		{from: atGate, to: atBrowser, text: "303 to /stock?shelf=B", cookie: "Set-Cookie: …bws_session"},
	}},
	{"one", []message{
		{from: atBrowser, to: atGate, text: "GET /stock?shelf=B", cookie: "Cookie: …bws_session"},
		{from: atGate, to: atApp, text: "X-BWS-BCID: bws/1/42"},
		{from: atApp, to: atBrowser, text: "the page"},
	}},
}

const (
	partyY, partyHeight = 20, 60
	firstMessage        = 120
	messageGap          = 35
	cookieGap           = 10 // for a cookie, beyond messageGap
	phaseGap            = 20 // between phases, beyond messageGap
)

const loginDescription = "The browser asks the gate for a page. The gate requests a token at BWS, and sends the browser to the " +
	"camera page with the token and a sealed state, and with a cookie that binds the login to this browser. On the camera page, " +
	"pictures are uploaded and compared. The browser comes back to the gate with token, state and cookie. The gate asks BWS for the " +
	"result and judges it, then sends the browser to the clean address with a session cookie. The browser asks for the page again with " +
	"the session, and the gate passes the request to the app, with the person's identity."

// login draws what is sent in a login, in the order of time.
func login() string {
	end := firstMessage - phaseGap
	for _, part := range phases {
		end += part.height()
	}
	p := newPicture(800, end+15, "A login", loginDescription)
	for _, who := range parties {
		p.line("faint", fmt.Sprintf("M%d %dV%d", who.x, partyY+partyHeight, end))
		p.box(who.x-who.width/2, partyY, who.width, partyHeight)
		if who.what == "" {
			p.text("name middle", who.x, partyY+35, who.name)
		} else {
			p.text("name middle", who.x, partyY+26, who.name)
			p.text("dim middle", who.x, partyY+46, who.what)
		}
	}
	y := firstMessage
	for i, part := range phases {
		p.phase(&part, i+1, y)
		y += part.height()
	}
	return p.end()
}

func (p *picture) phase(part *phase, number, y int) {
	p.number(part.color, 30, y-5, number)
	for _, m := range part.messages {
		p.message(part.color, &m, y)
		y += m.height()
	}
}

// height is how far below the beginning of the phase the next one begins.
func (part *phase) height() int {
	height := phaseGap
	for _, m := range part.messages {
		height += m.height()
	}
	return height
}

// height is how far below the message the next one may be.
func (m *message) height() int {
	if m.cookie != "" {
		return messageGap + cookieGap
	}
	return messageGap
}

// message draws a message, and its text where it crosses nobody's line: beside the leftmost party.
func (p *picture) message(color string, m *message, y int) {
	left := min(m.from, m.to)
	x := (parties[left].x + parties[left+1].x) / 2
	p.text("label", x, y-8, m.text)
	if m.cookie != "" {
		p.text("label", x, y+17, m.cookie)
	}
	from, to := parties[m.from].x, parties[m.to].x
	if m.answered {
		p.exchange(color, across(from+tip, to, y))
	} else {
		p.arrow(color, across(from, to, y))
	}
}
