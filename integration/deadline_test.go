package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Security cases 76 and 77: whatever the service sends, and however slowly or endlessly, the answer comes within one deadline, and
// costs neither memory nor a place in the log for the token. A service that trickles must not be able to keep requests.
func TestDeadline(t *testing.T) {
	s := startSite(t, "", "\tbws")
	const drip = 20 * time.Millisecond
	ok := "HTTP/1.1 200 OK\nContent-Type: application/json\n"
	chunk := "10000\n" + strings.Repeat(" ", 0x10000) + "\n"

	for name, test := range map[string]struct {
		answer bwstest.Answer
		reason string
	}{
		"security case 76: silence":                {bwstest.Answer{Hang: true}, "service_timeout"},
		"security case 76: silence after 200":      {bwstest.Answer{Raw: crlf(ok + "Content-Length: 66\n\n" + verified), Drip: drip}, "service_timeout"},
		"security case 76: a dripping 1xx":         {bwstest.Answer{Raw: crlf(strings.Repeat("HTTP/1.1 102 Processing\n\n", 1000)), Drip: drip}, "service_timeout"},
		"security case 76: dripping chunks":        {bwstest.Answer{Body: []byte(strings.Repeat(" ", 1000) + verified), Drip: drip}, "service_timeout"},
		"security case 76: a late answer":          {bwstest.Answer{Body: []byte(verified), Delay: 20 * time.Second}, "service_timeout"},
		"security case 77: 10 GB announced":        {rawAnswer(ok + "Content-Length: 10000000000\n\n" + verified + strings.Repeat(" ", 1<<20)), "service_invalid"},
		"security case 77: 16 MB in chunks":        {rawAnswer(ok + "Transfer-Encoding: chunked\n\n" + strings.Repeat(chunk, 256) + "0\n\n"), "service_invalid"},
		"security case 77: a chunk that overflows": {rawAnswer(ok + "Transfer-Encoding: chunked\n\nffffffffffffffff1\n"), "service_invalid"},
		"security case 77: a bomb":                 {bwstest.Answer{Header: http.Header{"Content-Encoding": {"gzip"}}, Body: zipped(strings.Repeat(" ", 16<<20))}, "service_invalid"},
		"security case 77: many header lines":      {rawAnswer(ok + strings.Repeat("X: x\n", 10_000) + "\n" + verified), "service_invalid"},
		"security case 88: two lengths":            {rawAnswer(ok + "Content-Length: 66\nContent-Length: 67\n\n" + verified), "service_invalid"},
		"security case 88: a length too long":      {rawAnswer(ok + "Content-Length: 1000\n\n" + verified), "service_unavailable"},
		"security case 88: status 2000":            {rawAnswer("HTTP/1.1 2000 OK\n\n" + verified), "service_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			covers(t)
			token := s.goodToken()
			s.service.Script("/result", test.answer)
			start := time.Now()
			got := s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+token)
			if took := time.Since(start); took > lateness {
				t.Errorf("the answer took %s", took)
			}
			s.checkKeptOut(t, got, test.reason)
			checkNoToken(t, s.caddyProcess, token)
			// An outage would count towards the breaker, which is not what is tested here.
			s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+s.goodToken())
			s.reached(t)
		})
	}
}

// A 200 is an answer although the connection closes after it, and so is one in pieces, or after informational ones: strictness
// must not refuse what HTTP allows.
func TestAnswersThatAreFine(t *testing.T) {
	s := startSite(t, "", "\tbws")
	json := "Content-Type: application/json\n"
	for name, answer := range map[string]bwstest.Answer{
		"until it closes":       rawAnswer("HTTP/1.1 200 OK\n" + json + "\n" + verified),
		"HTTP/1.0":              rawAnswer("HTTP/1.0 200 OK\n" + json + "\n" + verified),
		"after 103":             rawAnswer("HTTP/1.1 103 Early Hints\nLink: <x>\n\nHTTP/1.1 200 OK\n" + json + "\n" + verified),
		"with a trailer":        rawAnswer("HTTP/1.1 200 OK\n" + json + "Transfer-Encoding: chunked\nTrailer: X\n\n42\n" + verified + "\n0\nX: x\n\n"),
		"as text/json":          {Header: http.Header{"Content-Type": {"text/json"}}, Body: []byte(verified)},
		"with its charset":      {Header: http.Header{"Content-Type": {`application/json; charset="UTF-8"`}}, Body: []byte(verified)},
		"in pieces":             {Body: []byte(verified), Drip: time.Millisecond},
		"with unknown members":  {Body: []byte(verified[:len(verified)-1] + `,"Later":[{}]}`)},
		"with absent ones null": {Body: []byte(verified[:len(verified)-1] + `,"Error":null,"Matches":null}`)},
	} {
		t.Run(name, func(t *testing.T) {
			s.service.Script("/result", answer)
			got := s.raw(t, "GET / HTTP/1.1", "X-BWS-Token: "+s.goodToken())
			if got.StatusCode != http.StatusOK {
				t.Fatalf("got %d %s", got.StatusCode, got.Body)
			}
			if bcid := s.reached(t).Header.Get("X-BWS-BCID"); bcid != alice.String() {
				t.Errorf("the app gets %q", bcid)
			}
		})
	}
}
