package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

const verified = `{"Action":"verification","BCID":"bioid/9876/12345","Success":true}`

// Of all that can come in place of an answer, nothing opens the gate, nothing is waited for
// longer than the service's timeout, and nothing of it reaches the client or the log.
func TestAnswersThatAreNone(t *testing.T) {
	covers(t, 89)
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, verified)
	}))
	defer other.Close()
	s := startSite(t, "", "\tbws")
	json := func(body string) bwstest.Answer { return bwstest.Answer{Body: []byte(body)} }
	typed := func(contentType ...string) bwstest.Answer {
		return bwstest.Answer{Header: http.Header{"Content-Type": contentType}, Body: []byte(verified)}
	}
	redirect := func(status int) bwstest.Answer {
		return bwstest.Answer{Status: status, Header: http.Header{"Location": {other.URL}}}
	}
	const invalid, unavailable, late = "service_invalid", "service_unavailable", "service_timeout"

	for _, test := range []struct {
		name   string
		answer bwstest.Answer
		reason string
	}{
		{"security case 74: 301", redirect(301), invalid},
		{"security case 74: 302", redirect(302), invalid},
		{"security case 74: 307", redirect(307), invalid},
		{"security case 75: closed too early",
			rawAnswer("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 66\n\n{"), unavailable},
		{"security case 76: no header", bwstest.Answer{Hang: true}, late},
		{"security case 76: a dripping body", bwstest.Answer{Body: []byte(verified), Drip: 50e6}, late},
		{"security case 76: a dripping header", bwstest.Answer{Raw: []byte("HTTP/1.1 200 OK\r\n"), Drip: 50e6}, late},
		{"security case 77: a large body", json(verified + strings.Repeat(" ", 64<<10)), invalid},
		{"security case 77: gzip", bwstest.Answer{Header: http.Header{"Content-Encoding": {"gzip"}}, Body: zipped(verified)}, invalid},
		{"security case 77: a large header", rawAnswer("HTTP/1.1 200 OK\nX: " + strings.Repeat("x", 20<<10) + "\n\n" + verified), invalid},
		{"security case 77: endless 1xx", rawAnswer(strings.Repeat("HTTP/1.1 103 Early Hints\nLink: <x>\n\n", 2000)), invalid},
		{"security case 78: a page", typed("text/html"), invalid},
		{"security case 78: no type", typed(), invalid},
		{"security case 78: two types", typed("application/json", "text/html"), invalid},
		{"security case 78: nothing", json(""), invalid},
		{"security case 79: twice, false first", json(`{"Success":false,` + verified[1:]), invalid},
		{"security case 80: two spellings", json(`{"success":true,"Success":false}`), "not_recognized"},
		{"security case 80: another case", json(strings.Replace(verified, "Success", "SUCCESS", 1)), invalid},
		{"security case 80: a long s", json(strings.Replace(verified, "Success", "\u017fuccess", 1)), invalid},
		{"security case 81: two documents", json(verified + verified), invalid},
		{"security case 81: NUL", json(verified + "\x00"), invalid},
		{"security case 82: a wrong type later", json(verified[:len(verified)-1] + `,"Matches":"x"}`), invalid},
		{"security case 82: null after true", json(verified[:len(verified)-1] + `,"Success":null}`), invalid},
		{"security case 82: beyond all numbers", json(`{"Action":"identification","BCID":"b/1/0","Success":true,` +
			`"Matches":[{"BCID":"b/1/1","Score":1e400}]}`), invalid},
		{"security case 83: null", json("null"), invalid},
		{"security case 83: an array", json("[" + verified + "]"), invalid},
		{"security case 83: a text", json(strings.Replace(verified, "true", `"true"`, 1)), invalid},
		{"security case 83: a number", json(strings.Replace(verified, "true", "1", 1)), invalid},
		{"security case 83: no Success", json(`{"Action":"verification","BCID":"bioid/9876/12345"}`), invalid},
		{"security case 83: no Action", json(`{"BCID":"bioid/9876/12345","Success":true}`), invalid},
		{"security case 83: no BCID", json(`{"Action":"verification","Success":true}`), invalid},
		{"security case 85: upper case", json(strings.Replace(verified, "ver", "Ver", 1)), invalid},
		{"security case 85: the task's word", json(strings.Replace(verified, "verification", "verify", 1)), invalid},
		{"security case 85: another action", json(strings.Replace(verified, "verification", "identification", 1)), "contradiction"},
		{"security case 87: success and error", json(verified[:len(verified)-1] + `,"Error":"LiveDetectionFailed"}`), invalid},
		{"security case 88: 206", bwstest.Answer{Status: 206, Body: []byte(verified)}, invalid},
		{"security case 88: 204", bwstest.Answer{Status: 204}, "pending"},
		{"security case 88: 204 with a body", rawAnswer("HTTP/1.1 204 No Content\nContent-Length: 66\n\n" + verified), "pending"},
		{"security case 88: 304", bwstest.Answer{Status: 304}, invalid},
		{"security case 88: 400", bwstest.Answer{Status: 400, Body: []byte(verified)}, "rejected_token"},
		{"security case 88: 401", bwstest.Answer{Status: 401, Body: []byte(verified)}, "service_misconfigured"},
		{"security case 88: 403", bwstest.Answer{Status: 403, Body: []byte(verified)}, "service_misconfigured"},
		{"security case 88: 404", bwstest.Answer{Status: 404, Body: []byte(verified)}, invalid},
		{"security case 88: 429", bwstest.Answer{Status: 429, Body: []byte(verified)}, unavailable},
		{"security case 88: 500", bwstest.Answer{Status: 500, Body: []byte(verified)}, unavailable},
		{"security case 88: 101", rawAnswer("HTTP/1.1 101 Switching Protocols\nUpgrade: x\nConnection: Upgrade\n\n" + verified), invalid},
		{"not HTTP", rawAnswer(verified), invalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			covers(t)
			test.answer.Header = withSurprises(test.answer.Header)
			s.service.Script("/result", test.answer)
			token := s.goodToken()
			got := s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+token)
			s.checkKeptOut(t, got, test.reason)
			for _, name := range []string{"Set-Cookie", "Location", "X-Surprise"} {
				if got.Header.Get(name) != "" {
					t.Errorf("security case 89: the client gets %s of BWS: %q", name, got.Header[name])
				}
			}
			if strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Basic") {
				t.Errorf("security case 88: the client is asked for our credentials")
			}
			// An outage would count towards the breaker, which is not what is tested here.
			s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+s.goodToken())
			s.reached(t)
			if log := s.logs.String(); strings.Contains(log, "surprise") || strings.Contains(log, basicAuth(bwstest.AppID, bwstest.AppSecret)) {
				t.Errorf("the log has something of the answer, or our credentials:\n%s", log)
			}
		})
	}
	t.Run("security case 96: closed while it was idle", func(t *testing.T) {
		covers(t)
		s.service.Script("/result", rawAnswer(""))
		s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+s.goodToken())
		s.reached(t)
	})
	if elsewhere.Load() > 0 {
		t.Errorf("security case 74: %d redirects were followed", elsewhere.Load())
	}
}

// rawAnswer is an answer to the byte, with \n for line ends.
func rawAnswer(text string) bwstest.Answer {
	return bwstest.Answer{Raw: crlf(text)}
}

// withSurprises adds what a client must not see.
func withSurprises(header http.Header) http.Header {
	if header == nil {
		header = make(http.Header)
	}
	header.Set("Set-Cookie", "surprise=1")
	header.Set("X-Surprise", "surprise")
	header.Set("WWW-Authenticate", `Basic realm="surprise"`)
	return header
}

func zipped(text string) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return buf.Bytes()
}

// Security case 90: a service that does not prove who it is is not asked.
func TestServiceWithoutAGoodCertificate(t *testing.T) {
	covers(t, 90)
	service, app := bwstest.NewTLSServer(t, bwstest.Config{}), newApp(t)
	c := startCaddy(t, serviceOption("", service.URL),
		"{addr} {\n\tbws\n\treverse_proxy "+app.Listener.Addr().String()+"\n}")
	got := do(t, http.MethodGet, "http://"+c.Addr, good(service)...)
	if got.reason() != "service_unavailable" || len(app.take()) > 0 || service.Calls("/result") > 0 {
		t.Errorf("got %d %s", got.StatusCode, got.Body)
	}
	c.waitForLog("signed by an unknown authority")
}
