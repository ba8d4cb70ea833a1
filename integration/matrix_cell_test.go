package integration

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// captureURL is that of a camera page, which no test visits.
const captureURL = "http://127.0.0.1:1/capture"

// probe is what somebody wants while things fail.
type probe int

const (
	sessionGoesOn probe = iota
	tokenPasses
	sessionBegins
	oncePasses
	loginBegins
	loginEnds
)

// probeNames are what the page calls them.
var probeNames = []string{
	sessionGoesOn: "a session goes on", tokenPasses: "a new token", sessionBegins: "a session begins", oncePasses: "a new token, `once`",
	loginBegins: "a login begins", loginEnds: "a login ends",
}

// hops is how many requests of others one through a gate may wait for: to BWS, perhaps twice and through a proxy, and to the app.
const hops = 4

const (
	passes = "passes"
	spent  = "401 `spent`"
)

// cell is a fault of BWS together with one of the storage.
type cell struct {
	m       *matrix
	peer    *peer
	storage *storageFault
	service *bwstest.Service
	// base is the URL below which there is a gate of each kind.
	base string

	// What there is from before the faults: a session, a token that has been spent, a login that can come back.
	session, used string
	login         *begunLogin
	// once is the token that was presented meanwhile where tokens are good once.
	once string

	outcomes map[probe]string
	// opened is when the breaker had to be open, if the fault is one that counts.
	opened time.Time
}

// begunLogin is a browser that has been sent to the camera page.
type begunLogin struct{ token, target, cookies string }

// expected is what must come of a probe.
func (c *cell) expected(p probe) string {
	switch {
	case p == sessionGoesOn && c.storage.stale:
		return "503 `ledger_unavailable`"
	case p == sessionGoesOn:
		return passes
	case c.peer.reason != "":
		return denied(c.peer.reason)
	case p == oncePasses && c.storage.unsure:
		return "503 `ledger_unavailable`"
	}
	return passes
}

// denied is a denial with its status.
func denied(reason string) string {
	status := map[string]string{"service_timeout": "504", "service_invalid": "502", "service_misconfigured": "502", "service_unavailable": "503"}
	return status[reason] + " `" + reason + "`"
}

// prepare does what works before anything fails.
func (c *cell) prepare(t *testing.T) {
	c.check(t, passes, c.ask(t, "/token", true, time.Minute, c.good()))
	c.session = c.begin(t, time.Minute)
	c.used = c.good()
	c.check(t, passes, c.ask(t, "/once", true, time.Minute, c.used))
	c.check(t, spent, c.ask(t, "/once", false, time.Minute, c.used))
	c.login, _ = c.beginLogin(t, time.Minute)
}

// suffer sends a request of each kind while things fail. What BWS is asked for, and fails at, are five calls: so many that the breaker
// opens with the last one.
func (c *cell) suffer(t *testing.T) {
	outcome := func(p probe, got string) {
		c.outcomes[p] = got
		if want := c.expected(p); got != want {
			t.Errorf("%s: %s: got %s, want %s", c, probeNames[p], got, want)
		}
	}
	outcome(sessionGoesOn, told(c.ask(t, "/session", c.expected(sessionGoesOn) == passes, 0, c.session)))
	outcome(tokenPasses, told(c.ask(t, "/token", c.expected(tokenPasses) == passes, checkTime, c.good())))
	c.once = c.good()
	outcome(oncePasses, told(c.ask(t, "/once", c.expected(oncePasses) == passes, checkTime+c.storage.cost, c.once)))
	begun, got := c.beginLogin(t, checkTime)
	if begun != nil {
		got = passes
	}
	outcome(loginBegins, got)
	outcome(loginEnds, c.endLogin(t, c.login, c.expected(loginEnds) == passes, checkTime))
	session := c.ask(t, "/session", c.expected(sessionBegins) == passes, checkTime, c.good())
	outcome(sessionBegins, told(session))
	if begins := cookiesOf(session) != ""; begins != (c.expected(sessionBegins) == passes) {
		t.Errorf("%s: a session begins: %t", c, begins)
	}
	c.opened = time.Now()
}

// resist sends requests that nothing may let in, and checks that calls to a BWS that has failed often do not take any time.
func (c *cell) resist(t *testing.T) {
	pending := c.service.Token(bwstest.TokenSpec{BCID: alice})
	failed, others := c.service.Token(bwstest.TokenSpec{BCID: alice}), c.service.Token(bwstest.TokenSpec{BCID: bob})
	c.service.Perform(failed, bwstest.Outcome{})
	c.service.Perform(others, bwstest.Outcome{Success: true})
	elsewhere := bwstest.New(bwstest.Config{}).Token(bwstest.TokenSpec{BCID: alice})

	for name, token := range map[string]string{"pending": pending, "failed": failed, "bob's": others, "forged": elsewhere} {
		for _, path := range []string{"/token", "/session", "/once"} {
			limit, reason := c.whileOpen()
			got := told(c.ask(t, path, false, limit, "X-BWS-Token: "+token))
			if got == passes || reason != "" && got != reason {
				t.Errorf("%s: %s, a token that is %s: got %s", c, path, name, got)
			}
		}
	}
	for _, path := range []string{"/token", "/session", "/once", "/login"} {
		c.check(t, "401 `no_token`", c.ask(t, path, false, 0))
	}
	if c.expected(oncePasses) == passes {
		c.check(t, spent, c.ask(t, "/once", false, checkTime, c.once))
	}
	got := told(c.ask(t, "/once", false, checkTime, c.used))
	if got != spent && got != denied("service_unavailable") && got != denied(c.peer.reason) {
		t.Errorf("%s: a token that is spent: got %s", c, got)
	}
}

// whileOpen is how long a question about a token may take now, and the reason of its denial: none is asked as long as the breaker is
// open.
func (c *cell) whileOpen() (limit time.Duration, reason string) {
	if c.peer.breaks && time.Since(c.opened) < period-checkTime {
		return 0, denied("service_unavailable")
	}
	return checkTime, ""
}

// endure asks as clients do that do not know that BWS fails. Now and then it is for them that BWS is tried.
func (c *cell) endure(t *testing.T) {
	got := told(c.ask(t, "/token", true, checkTime, c.good()))
	if got != c.expected(tokenPasses) && got != denied("service_unavailable") && !c.m.ending.Load() {
		t.Errorf("%s: meanwhile, %s: got %s", c, probeNames[tokenPasses], got)
	}
	time.Sleep(2 * time.Second)
}

// recover checks that BWS is asked, and sessions go on, soon after the faults are over.
func (c *cell) recover(t *testing.T, over time.Time) {
	c.worksAgain(t, over, "/token", func() string { return c.good() })
	c.worksAgain(t, over, "/session", func() string { return c.session })
}

// work checks that everything works, and what has become of what was there before and during the faults.
func (c *cell) work(t *testing.T) {
	c.begin(t, checkTime)
	if c.expected(oncePasses) != passes {
		// What was denied because of BWS is not spent. What was denied because of the storage may be.
		got := told(c.ask(t, "/once", true, checkTime, c.once))
		if got != passes && (got != spent || c.peer.reason != "") {
			t.Errorf("%s: a token that was denied before: got %s", c, got)
		}
	}
	for _, token := range []string{c.once, c.used} {
		c.check(t, spent, c.ask(t, "/once", false, checkTime, token))
	}
	if begun, got := c.beginLogin(t, checkTime); begun == nil {
		t.Errorf("%s: no login: %s", c, got)
	} else if got := c.endLogin(t, begun, true, checkTime); got != passes {
		t.Errorf("%s: a login: got %s", c, got)
	}
}

// worksAgain waits until a request passes.
func (c *cell) worksAgain(t *testing.T, over time.Time, path string, header func() string) {
	for {
		got := told(c.ask(t, path, true, checkTime, header()))
		took := time.Since(over)
		if got != passes && took < 4*recovery {
			time.Sleep(200 * time.Millisecond)
			continue
		}
		if got != passes || took > recovery+overtime+hops*c.m.ungated.longest(over, time.Now()) {
			t.Errorf("%s: %s works again after %s: %s", c, path, took, got)
		}
		c.m.noteRecovery(c, took)
		return
	}
}

func (c *cell) String() string { return "BWS " + c.peer.name + ", the storage " + c.storage.name }

// good is a new token with which Alice has been verified, as a header.
func (c *cell) good() string {
	token := c.service.Token(bwstest.TokenSpec{BCID: alice})
	c.service.Perform(token, bwstest.Outcome{Success: true})
	return "X-BWS-Token: " + token
}

// begin begins a session with a new token, and returns its cookie as a header.
func (c *cell) begin(t *testing.T, limit time.Duration) string {
	got := c.ask(t, "/session", true, limit, c.good())
	c.check(t, passes, got)
	session := cookiesOf(got)
	if session == "" {
		t.Errorf("%s: no session", c)
	}
	return session
}

// cookiesOf returns the cookies that an answer sets as a header, "" if there is none.
func cookiesOf(got *answer) string {
	var pairs []string
	for _, cookie := range got.Cookies() {
		if cookie.MaxAge >= 0 {
			pairs = append(pairs, cookie.Name+"="+cookie.Value)
		}
	}
	if pairs == nil {
		return ""
	}
	return "Cookie: " + strings.Join(pairs, "; ")
}

// beginLogin has a browser go where a login begins, and returns nil and what it was told if none does.
func (c *cell) beginLogin(t *testing.T, limit time.Duration) (*begunLogin, string) {
	got := c.navigate(t, "/login", false, limit)
	query, ok := strings.CutPrefix(got.Header.Get("Location"), captureURL+"?")
	given, err := url.ParseQuery(query)
	if !ok || err != nil {
		return nil, told(got)
	}
	login := &begunLogin{token: given.Get("access_token"), cookies: cookiesOf(got)}
	login.target = "/login?access_token=" + login.token + "&state=" + given.Get("state")
	c.service.Perform(login.token, bwstest.Outcome{Success: true})
	return login, ""
}

// endLogin has a browser come back from the camera page, and returns what it is told in the end.
func (c *cell) endLogin(t *testing.T, login *begunLogin, mayPass bool, limit time.Duration) string {
	if login == nil {
		return "there is no login"
	}
	back := c.navigate(t, login.target, false, limit, login.cookies)
	if back.StatusCode != http.StatusSeeOther || !strings.HasSuffix(c.base+"/login", back.Header.Get("Location")) {
		return told(back)
	}
	return told(c.navigate(t, "/login", mayPass, limit, cookiesOf(back)))
}

// navigate is ask for a browser that shows pages.
func (c *cell) navigate(t *testing.T, path string, mayPass bool, limit time.Duration, headers ...string) *answer {
	return c.ask(t, path, mayPass, limit, append(headers, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")...)
}

// ask sends a request to one of the cell's gates, and checks that the answer takes no longer than the limit.
func (c *cell) ask(t *testing.T, path string, mayPass bool, limit time.Duration, headers ...string) *answer {
	headers = append(headers, "X-Probe: "+c.m.probeName(mayPass))
	start := time.Now()
	got, err := ask(t.Context(), &c.m.client, http.MethodGet, c.base+path, "", headers...)
	if err != nil {
		t.Errorf("%s: %s: %v", c, path, err)
		return &answer{Response: new(http.Response)}
	}
	end := time.Now()
	busy := hops * c.m.ungated.longest(start, end)
	if took := end.Sub(start); took > limit+overtime+busy {
		t.Errorf("%s: %s: %s took %s, %s at most is right on a machine that is so busy", c, path, told(got), took, limit+overtime+busy)
	}
	return got
}

func (c *cell) check(t *testing.T, want string, got *answer) {
	if told := told(got); told != want {
		t.Errorf("%s: got %s, want %s: %s", c, told, want, got.Body)
	}
}

var reasonOnPage = regexp.MustCompile(`<code>(\w+)</code>`)

// told is what became of a request, in short.
func told(a *answer) string {
	reason := a.reason()
	if match := reasonOnPage.FindStringSubmatch(a.Body); match != nil {
		reason = match[1]
	}
	switch {
	case a.StatusCode == http.StatusOK:
		return passes
	case reason == "":
		return a.Status
	}
	return a.Status[:3] + " `" + reason + "`"
}
