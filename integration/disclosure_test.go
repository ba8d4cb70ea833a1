package integration

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// What answers, metrics and logs tell to those who read them.

// said is all of an answer that a client could compare.
func (a *answer) said() string {
	header := maps.Clone(a.Header)
	header.Del("Date")
	header.Del("X-Evidence") // of the test's own site
	return fmt.Sprint(a.StatusCode, header, a.Body)
}

// A denial is the same to the byte whether the person exists or not, and whether BWS was asked or what it said is remembered.
func TestAnswersTellNobodyApart(t *testing.T) {
	covers(t, 103)
	s := cacheSite(t)
	get := func(person bws.BCID) string {
		url, token := "http://"+s.Addr+"/bound", "X-BWS-Token: "+goodOf(s.service.Service, person)
		first, second := do(t, http.MethodGet, url, token), do(t, http.MethodGet, url, token)
		if first.reason() != "bcid_not_allowed" || first.said() != second.said() {
			t.Errorf("got %s, then %s", first.said(), second.said())
		}
		return first.said()
	}
	s.service.Enroll(alice)
	enrolled := get(alice)
	for _, person := range []bws.BCID{{Storage: "bioid", Partition: 9876, Class: 999}, {Storage: "other", Partition: 1, Class: 1}} {
		if got := get(person); got != enrolled {
			t.Errorf("%s gets %s, somebody who is enrolled %s", person, got, enrolled)
		}
	}
	invented := []string{invented(), invented()}
	var rejected []string
	for _, token := range append(invented, invented...) {
		rejected = append(rejected, do(t, http.MethodGet, "http://"+s.Addr+"/off", "X-BWS-Token: "+token).said())
	}
	if len(slices.Compact(rejected)) != 1 || !strings.Contains(rejected[0], "rejected_token") {
		t.Errorf("invented tokens get %q", rejected)
	}
}

// metricLabels are the labels that metrics of the gate may have, all with few values. The last two belong to histograms and Caddy.
var metricLabels = []string{
	"decision", "reason", "evidence", "api", "outcome", "result", "event", "service", "operation", "state", "le", "quantile",
}

var metricLine = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? \S+$`)
var metricLabel = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)

// The number of series does not depend on who comes, with what, and where.
func TestMetricsHaveFewSeries(t *testing.T) {
	covers(t, 102)
	service, app := bwstest.NewServer(t, bwstest.Config{}), newApp(t)
	c := startCaddy(t, "\tmetrics\n"+serviceOption("", service.URL, "client_rate 100000 1m"), "{addr} {\n\tbws\n\treverse_proxy "+app.Listener.Addr().String()+"\n}")
	scrape := func() map[string]bool {
		series := make(map[string]bool)
		lines := bufio.NewScanner(strings.NewReader(do(t, http.MethodGet, "http://"+c.Admin+"/metrics").Body))
		for lines.Scan() {
			match := metricLine.FindStringSubmatch(lines.Text())
			if len(match) == 0 || !strings.HasPrefix(match[1], "caddy_") {
				continue
			}
			series[match[1]+"{"+match[2]+"}"] = true
			if !strings.HasPrefix(match[1], "caddy_bws_") {
				continue
			}
			for _, label := range metricLabel.FindAllStringSubmatch(match[2], -1) {
				if !slices.Contains(metricLabels, label[1]) {
					t.Errorf("%s has the label %s, which may have any number of values", match[1], label[1])
				}
			}
		}
		return series
	}
	visit := func(i int) {
		person := bws.BCID{Storage: "bioid", Partition: 9876, Class: int32(1000 + i)}
		token := goodOf(service.Service, person)
		url := fmt.Sprintf("http://%s/path-%d?query=%d", c.Addr, i, i)
		do(t, http.MethodGet, url, "X-BWS-Token: "+token, fmt.Sprintf("X-BWS-BCID: forged-%d", i))
		do(t, http.MethodGet, url, "X-BWS-Token: nonsense")
		do(t, http.MethodGet, url, "X-BWS-Token: "+invented())
		do(t, http.MethodGet, url)
	}
	visit(0)
	scrape() // which counts itself
	before := scrape()
	for i := range 20 {
		visit(i)
	}
	after := scrape()
	if len(before) == 0 || len(after) != len(before) {
		t.Errorf("there are %d series, %d before", len(after), len(before))
	}
	for series := range after {
		for _, value := range []string{"bioid", "9876", "path-", "query", "forged", "eyJ", "127.0.0.1", bwstest.AppSecret} {
			if strings.HasPrefix(series, "caddy_bws_") && strings.Contains(series, value) {
				t.Errorf("the series %s is about one of them", series)
			}
		}
	}
}

// Where a password is asked for as well, each says what is its own: the browser is asked for the password first, and never for one
// by the gate.
func TestBesideAPassword(t *testing.T) {
	covers(t, 106)
	t.Parallel()
	const hash = "$2a$10$GKsWYDtWO0JIu/acqF74wucZwARi2OSRL2bkrNyxX2Tp9rtOuFVva" // of alice-demo
	s := startSite(t, "", "\tbasic_auth {\n\t\talice "+hash+"\n\t}\n\tbws {\n\t\ttoken bearer\n\t\ttoken cookie bws_token\n\t}\n\theader >X-User {http.auth.user.id}")
	password := "Authorization: Basic " + basicAuth("alice", "alice-demo")
	cookie := "Cookie: bws_token=" + s.goodToken()
	for name, test := range map[string]struct {
		headers   []string
		status    int
		challenge string
	}{
		"nothing":               {nil, http.StatusUnauthorized, "Basic"},
		"a face alone":          {[]string{cookie}, http.StatusUnauthorized, "Basic"},
		"a face as a password":  {[]string{"Authorization: Bearer " + s.goodToken()}, http.StatusUnauthorized, "Basic"},
		"a password alone":      {[]string{password}, http.StatusUnauthorized, "BWS"},
		"a password and a face": {[]string{password, cookie}, http.StatusOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.raw(t, "GET / HTTP/1.1", test.headers...)
			challenges := got.Header.Values("WWW-Authenticate")
			if got.StatusCode != test.status || strings.Join(challenges, ",") != "" && len(challenges) != 1 || !strings.HasPrefix(strings.Join(challenges, ","), test.challenge) {
				t.Errorf("got %d %q %s", got.StatusCode, got.Header, got.Body)
			}
			if passed := len(s.app.take()); (passed > 0) != (test.status == http.StatusOK) {
				t.Errorf("%d requests have reached the app", passed)
			}
			if test.status == http.StatusOK && got.Header.Get("X-User") != "alice" {
				t.Errorf("the user is %q", got.Header.Get("X-User"))
			}
		})
	}
}
