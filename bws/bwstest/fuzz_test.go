package bwstest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// Any parameters may come with a request for a token. The answer is a token that bws understands, for what was asked, or a refusal.
func FuzzTokenRequest(f *testing.F) {
	for _, query := range []string{
		"bcid=bws/1/42", "bcid=bws.1.42&task=enroll&maxtries=15&livedetection=False&autoenroll=True", "task=livenessdetection&bcid=",
		"bcid=bws/1/0&task=identify&challenge=true&challenges=[[\"up\"],[]]&traits=Face,%20voice", "bcid=bws/1/42&maxtries=0x1", "id=x&%zz",
	} {
		f.Add(query)
	}
	s := bwstest.New(bwstest.Config{})
	f.Fuzz(func(t *testing.T, query string) {
		r := get("/token", "app")
		if _, err := url.ParseQuery(query); err != nil || strings.ContainsAny(query, " #\x7f") || strings.ContainsFunc(query, isControl) {
			return // no request can be made of it
		}
		r.path += "?id=" + bwstest.AppID + "&" + query
		w := r.send(s)
		if w.Code != http.StatusOK {
			if w.Code/100 != 4 {
				t.Fatalf("%q: got %d %s", query, w.Code, w.Body)
			}
			return
		}
		claims, err := bws.ParseToken(w.Body.String())
		if _, known := claims.Task.Action(); err != nil || !known || claims.App != bwstest.AppID {
			t.Fatalf("%q: got %q, %+v, %v", query, w.Body, claims, err)
		}
		if _, err := bws.ParseBCID(claims.BCID); err != nil && claims.BCID != "" {
			t.Fatalf("%q: got a token for %q", query, claims.BCID)
		}
	})
}

// Any bytes may come as a sample. It is one or it is refused.
func FuzzUpload(f *testing.F) {
	s := bwstest.New(bwstest.Config{})
	s.Enroll(alice)
	token := get("/token?id="+bwstest.AppID+"&bcid="+alice.String(), "app").send(s).Body.String()
	f.Add(pngSample)
	f.Add(`"` + pngSample + `"`)
	f.Add("data:image/png;base64,AAAA")
	f.Add("data:,")
	f.Fuzz(func(t *testing.T, body string) {
		r := upload(token)
		r.body = body
		if w := r.send(s); w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
			t.Fatalf("%q: got %d %s", body, w.Code, w.Body)
		} else if w.Code == http.StatusOK && !strings.Contains(body, "image") {
			t.Fatalf("%q is taken for an image", body)
		}
	})
}

func isControl(r rune) bool { return r < ' ' }
