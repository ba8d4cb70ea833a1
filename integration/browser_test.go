package integration

import (
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
	"github.com/caddy-bws/caddy-bws/internal/browsertest"
)

// loginSite is a running Caddy whose gates send browsers to the emulator's camera page and back. Gates and page are of two sites:
// for a browser, localhost and 127.0.0.1 have nothing to do with each other.
type loginSite struct {
	*gatedSite
	url string
}

// aliceLogsIn is a gate with the options that most tests want.
const aliceLogsIn = `	bws {
		bcid bioid/9876/12345
		session
		login {
			ui {ui}
		}
	}`

// startLoginSite runs a site with directives in which {ui} stands for the address of the camera page.
func startLoginSite(t *testing.T, directives string) *loginSite {
	t.Helper()
	service, app := bwstest.NewServer(t, bwstest.Config{}), newAppThat(t, showPage)
	service.Enroll(alice)
	_, port, _ := net.SplitHostPort(freeAddr(t))
	url := "http://localhost:" + port
	c := startCaddy(t, serviceOption("", service.URL, "timeout 1m", "failure_ttl 0", "client_rate 100000 1m"),
		url+" {\n"+strings.ReplaceAll(directives, "{ui}", service.UI)+"\n\treverse_proxy "+app.Listener.Addr().String()+"\n}")
	return &loginSite{&gatedSite{c, t, service, app}, url}
}

// appPage is what the app shows, without any script.
var appPage = template.Must(template.New("app").Parse(`<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>{{.Method}} {{.URI}}</title>
<h1>The app knows you as {{.User}}</h1>
<p>It got {{.Body}}.</p>
<p><a id="next" href="/next?a=b">Next</a> <a id="transfer" href="/transfer">Transfer</a> <a id="logout" href="/logout">Log out</a></p>
<form method="post" action="/transfer"><input id="amount" name="amount" value="5" aria-label="Amount"><button id="send">Send</button></form>
`))

func showPage(w http.ResponseWriter, r *http.Request, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = appPage.Execute(w, struct{ Method, URI, User, Body string }{r.Method, r.URL.RequestURI(), r.Header.Get("X-BWS-BCID"), body})
}

// visitor is somebody's tab, in front of a site with logins.
type visitor struct {
	*browsertest.Tab
	t    *testing.T
	site *loginSite
}

// visit has somebody who has never been there open a page of the site.
func (s *loginSite) visit(t *testing.T, browser *browsertest.Browser, path string, before ...chromedp.Action[chromedp.Void]) *visitor {
	t.Helper()
	return &visitor{browser.Profile(t).Open(t, s.url+path, before...), t, s}
}

// goTo has the visitor type a path of the site into the address bar.
func (v *visitor) goTo(path string) {
	v.t.Helper()
	v.Do(chromedp.Navigate(v.site.url + path))
}

// isSentToCapture waits for the camera page, and returns the token that it has been given.
func (v *visitor) isSentToCapture() string {
	v.t.Helper()
	v.Until(`location.origin + location.pathname + document.readyState`, v.site.service.UI+"complete")
	return v.Text(`new URLSearchParams(location.search).get("access_token")`)
}

// choose ends the operation by a button of the emulator.
func (v *visitor) choose(outcome string) (token string) {
	v.t.Helper()
	token = v.isSentToCapture()
	v.Click(outcome)
	return token
}

// sees waits for a page of the app, by its method, path and query, and checks that the address is no other.
func (v *visitor) sees(request string) {
	v.t.Helper()
	v.Until(`document.title + document.readyState`, request+"complete")
	_, uri, _ := strings.Cut(request, " ")
	if address := v.Text(`location.href`); address != v.site.url+uri {
		v.t.Errorf("the address is %s, want %s", address, v.site.url+uri)
	}
	v.Until(`document.querySelector("h1").textContent`, alice.String())
}

// isTold waits for a page of the gate with a title and the reason, and checks that its address has nothing more than what the
// visitor asked for.
func (v *visitor) isTold(title, reason, uri string) {
	v.t.Helper()
	v.Until(`document.title + "\n" + document.querySelector("code").textContent`, title+"\n"+reason)
	if address := v.Text(`location.href`); address != v.site.url+uri {
		v.t.Errorf("the address is %s, want %s", address, v.site.url+uri)
	}
}

// triesAgain follows the gate's link.
func (v *visitor) triesAgain() {
	v.t.Helper()
	v.Do(chromedp.Click("main a", chromedp.NodeVisible))
}

// checkKeptSecret checks that the token has left nothing behind on the site: neither in the page, nor in the history, nor in what the
// app got, which was the number of pages.
func (v *visitor) checkKeptSecret(token string, pages int) {
	v.t.Helper()
	page := v.Text(`JSON.stringify([location.href, document.referrer, document.cookie, performance.getEntries().map(e => e.name),
		document.documentElement.outerHTML])`)
	places := []string{page}
	for _, address := range v.History() {
		if strings.HasPrefix(address, v.site.url) {
			places = append(places, address)
		}
	}
	requests := v.site.app.take()
	if len(requests) != pages {
		v.t.Errorf("the app got %d requests, want %d", len(requests), pages)
	}
	for _, r := range requests {
		places = append(places, fmt.Sprint(r.RequestURI, r.Header))
	}
	for _, place := range places {
		for _, secret := range []string{token, "access_token", "state=", "bws_", v.site.service.UI} {
			if strings.Contains(place, secret) {
				v.t.Errorf("there is %s in %s", secret, place)
			}
		}
	}
}
