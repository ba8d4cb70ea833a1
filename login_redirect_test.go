package caddybws

import (
	"bufio"
	_ "embed" // for the list of request targets
	"html"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

//go:embed testdata/open_redirects.txt
var openRedirects string

var urlScheme = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)

// leadsTo returns the origin to which a browser on a page of base would be led, with everything that browsers forgive.
func leadsTo(base, location string) string {
	location = strings.TrimFunc(location, func(r rune) bool { return r <= ' ' })
	location = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(location)
	end := strings.IndexAny(location, "?#")
	if end < 0 {
		end = len(location)
	}
	path := strings.ReplaceAll(location[:end], `\`, "/")
	scheme := urlScheme.FindString(path)
	rest := path[len(scheme):]
	if scheme == "" {
		if !strings.HasPrefix(path, "//") {
			return base
		}
		scheme, _, _ = strings.Cut(base, "//")
	}
	authority, _, _ := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	return strings.ToLower(scheme + "//" + authority[strings.LastIndexByte(authority, '@')+1:])
}

func TestLeadsTo(t *testing.T) {
	const here, evil = "http://app.example", "http://evil.example"
	for location, want := range map[string]string{
		"/page": here, "page": here, "?x=//evil.example": here, "#//evil.example": here, "/a//evil.example": here, "./\\evil.example": here,
		"": here, "/.//evil.example": here, "/@evil.example": here, "http://app.example/": here, "HTTP://APP.example?x": here,
		"//evil.example": evil, `/\evil.example`: evil, `\\evil.example/x`: evil, "/\t/evil.example": evil, "\x00 //evil.example": evil,
		"http://app.example@evil.example": evil, "http:evil.example": evil, "http:\\\\evil.example\\@app.example": evil,
		"///evil.example": evil, "h\nttp://evil.example/": evil, "https://app.example": "https://app.example",
		"javascript:alert(1)": "javascript://alert(1)", "http://app.example:8080/": "http://app.example:8080",
	} {
		if got := leadsTo(here, location); got != want {
			t.Errorf("%q leads to %q, want %q", location, got, want)
		}
	}
}

// targets are the request targets of the list.
func targets(t testing.TB) (all []string) {
	t.Helper()
	for line := range strings.Lines(openRedirects) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "# ") {
			continue
		}
		target, err := strconv.Unquote(`"` + line + `"`)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, target)
	}
	if len(all) < 120 {
		t.Fatalf("%d targets", len(all))
	}
	return all
}

// answer is what a browser gets.
type answer struct {
	status int
	header http.Header
	// kept are the cookies that the browser has to keep, as it sends them.
	kept string
	body string
}

func answerOf(t testing.TB, res *http.Response) *answer {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, set := range res.Cookies() {
		if set.MaxAge > 0 {
			kept = append(kept, set.Name+"="+set.Value)
		}
	}
	return &answer{res.StatusCode, res.Header, strings.Join(kept, "; "), string(body)}
}

// misled is a flow from a request target, as far as it gets. It checks each place where a browser is led.
type misled struct {
	*site
	t testing.TB
	// ask sends a request for a target, with cookies, and returns nil if that is no request.
	ask func(target, cookies string) *answer
	// asked is the target.
	asked string
	// host is what the latest request was sent to: by its Host, or by its target if that is a URL.
	host string
	// accepted says that it was a request.
	accepted bool
}

const captureOrigin = "https://www.bioid.com"

// follow goes from the target to the camera page, if it leads there, and back. It returns how far it got.
func (m *misled) follow(performed bwstest.Outcome) (reached string) {
	res := m.ask(m.asked, "")
	if res == nil {
		return "no request"
	}
	location, origin := res.header.Get("Location"), "http://"+m.host
	if location == "" {
		m.checkLinks(res)
		return "denied"
	}
	ui, err := url.Parse(location)
	if got := leadsTo(origin, location); got != captureOrigin || err != nil {
		m.t.Fatalf("%q leads to %q: %q", m.asked, got, location)
	}
	back := ui.Query().Get("return_url")
	if got := leadsTo(captureOrigin, back); got != origin {
		m.t.Fatalf("%q leads back to %q: %q", m.asked, got, back)
	}
	m.Perform(ui.Query().Get("access_token"), performed)
	target := strings.TrimPrefix(back, origin) + "?access_token=" + ui.Query().Get("access_token") + "&state=" + ui.Query().Get("state")
	if res = m.ask(target, res.kept); res == nil {
		m.t.Fatalf("%q leads back to %q, which is no request", m.asked, target)
	}
	location = res.header.Get("Location")
	if got := leadsTo(origin, location); res.status != http.StatusSeeOther || got != origin || !strings.HasPrefix(location, "/") {
		m.t.Fatalf("%q ends with %d at %q: %q", m.asked, res.status, got, location)
	}
	if res = m.ask(location, res.kept); res == nil || performed.Success != (res.status == http.StatusOK) {
		m.t.Fatalf("%q ends at %q with %v", m.asked, location, res)
	}
	m.checkLinks(res)
	return "returned"
}

var links = regexp.MustCompile(`href="([^"]*)"`)

// checkLinks checks where the links of a page lead.
func (m *misled) checkLinks(res *answer) {
	for _, link := range links.FindAllStringSubmatch(res.body, -1) {
		origin := "http://" + m.host
		if got := leadsTo(origin, html.UnescapeString(link[1])); got != origin {
			m.t.Fatalf("%q shows a link to %q: %q", m.asked, got, link[1])
		}
	}
}

// Security cases 65 and 66, over the wire: what the server accepts as a request never leads a browser to another site.
func TestOpenRedirects(t *testing.T) {
	s := newSite(t)
	s.service = newService(t, inProcess{s.Service}, s.clock.Now, unlimited)
	g := s.gate(t, loginGate())
	m := &misled{site: s, t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.host, m.accepted = r.Host, true
		o := send(t, r, g)
		maps.Copy(w.Header(), o.Header())
		w.WriteHeader(o.Code)
		_, _ = w.Write(o.Body.Bytes())
	}))
	defer server.Close()
	m.ask = func(target, cookies string) *answer {
		m.accepted = false
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, err = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: "+m.host+"\r\nConnection: close\r\nSec-Fetch-Mode: navigate\r\n"+
			"Sec-Fetch-Dest: document\r\nX-Forwarded-Host: evil.example\r\nCookie: "+cookies+"\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: %v", target, err)
		}
		defer func() { _ = res.Body.Close() }()
		if !m.accepted {
			return nil
		}
		return answerOf(t, res)
	}
	reached := make(map[string]int)
	for _, target := range targets(t) {
		for _, performed := range []bwstest.Outcome{{Success: true}, {}} {
			m.asked, m.host = target, "app.example"
			reached[m.follow(performed)]++
		}
	}
	if reached["no request"] < 40 || reached["denied"] < 60 || reached["returned"] < 100 {
		t.Errorf("the targets have led to %v", reached)
	}
}

// The same where another server, or another protocol, takes for a path what this one would not.
func TestOpenRedirectsInProcess(t *testing.T) {
	s := newSite(t)
	s.service = newService(t, inProcess{s.Service}, s.clock.Now, unlimited)
	g := s.gate(t, loginGate())
	reached := make(map[string]int)
	for _, target := range targets(t) {
		for _, decoded := range []bool{true, false} {
			m := &misled{site: s, t: t, asked: target, host: "app.example"}
			m.ask = func(target, cookies string) *answer {
				r := navigation("/", "Cookie: "+cookies)
				path, query, force := strings.Cut(target, "?")
				r.URL = &url.URL{Path: path, RawQuery: query, ForceQuery: force && query == ""}
				if unescaped, err := url.PathUnescape(path); err == nil && (decoded || target != m.asked) {
					r.URL.Path, r.URL.RawPath = unescaped, path
				}
				return answerOf(t, send(t, r, g).Result())
			}
			reached[m.follow(bwstest.Outcome{Success: true})]++
		}
	}
	if reached["denied"] < 60 || reached["returned"] < 100 {
		t.Errorf("the targets have led to %v", reached)
	}
}

// Whatever is accepted as a path to return to, a browser takes for one of this site.
func FuzzMayReturnTo(f *testing.F) {
	for _, target := range targets(f) {
		path, query, _ := strings.Cut(target, "?")
		f.Add(path, path, query)
		f.Add(path, "", query)
	}
	f.Add("/a/b", "/a%2fb", "x=1")
	f.Fuzz(func(t *testing.T, path, raw, query string) {
		all := []*url.URL{{Path: path, RawPath: raw, RawQuery: query}}
		if u, err := url.ParseRequestURI(path + "?" + query); err == nil {
			all = append(all, u)
		}
		const origin = "http://app.example"
		for _, u := range all {
			if !mayReturnTo(u) {
				continue
			}
			for _, location := range []string{cleanURL(u, u.RawQuery), cleanURL(u, ""), clickOn(u, u.RawQuery), origin + u.EscapedPath()} {
				if got := leadsTo(origin, location); got != origin {
					t.Fatalf("%q, %q leads to %q: %q", u.Path, u.RawPath, got, location)
				}
				if line, _, _ := strings.Cut(location, "?"); strings.ContainsAny(line, "\r\n\t\\ \x00\x7f") {
					t.Fatalf("%q, %q leads to %q", u.Path, u.RawPath, location)
				}
			}
		}
	})
}

// unlimited lets one client ask as often as it takes.
func unlimited(c *verifier.Config) { c.ClientCalls = 1_000_000 }
