package integration

import (
	"fmt"
	"net"
	"net/http"
	"net/http/fcgi"
	"strings"
	"testing"
)

// To an app behind FastCGI, X-BWS-BCID, X_BWS_BCID and X.BWS.BCID are one variable. What it holds is for the gate to say. Security
// cases 2 and 3, with an app that cannot tell the names apart.
func TestForgedIdentityForCGI(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// As PHP does: a variable has letters, digits and underscores.
			variables := make(http.Header)
			for name, values := range r.Header {
				name = strings.NewReplacer("_", "-", ".", "-").Replace(name)
				variables[http.CanonicalHeaderKey(name)] = append(variables[http.CanonicalHeaderKey(name)], values...)
			}
			for _, name := range []string{"X-Bws-Bcid", "X-Bws-Action", "X-Bws-Score", "Remote-User", "X-Bws-Token"} {
				fmt.Fprintf(w, "%s=%s;", name, strings.Join(variables[name], "|"))
			}
			fmt.Fprintf(w, "Cookie=%s;Env=%s", r.Header.Get("Cookie"), fcgi.ProcessEnv(r)["REMOTE_USER"])
		}))
	}()
	s := startSite(t, acceptOddNames+" REMOTE.USER", `	bws /report* {
		report_only
	}
	bws /own* {
		identity_headers {
			Remote-User {http.bws.bcid}
		}
	}
	bws
	reverse_proxy `+l.Addr().String()+` {
		transport fastcgi
	}`)
	forged := []string{
		"X_BWS_BCID: admin", "X.BWS.BCID: admin", "X-BWS-BCID: admin", "X_Bws_Action: enrollment", "X-Bws.Score: 1", "REMOTE.USER: admin",
		"Connection: X-BWS-BCID, X_BWS_BCID, Remote-User",
	}
	for path, want := range map[string]string{
		"/plain": "X-Bws-Bcid=bioid/9876/12345;X-Bws-Action=verification;X-Bws-Score=;",
		"/own":   "X-Bws-Bcid=bioid/9876/12345;X-Bws-Action=verification;X-Bws-Score=;Remote-User=bioid/9876/12345;",
	} {
		t.Run(path, func(t *testing.T) {
			got := s.raw(t, "GET "+path+" HTTP/1.1", append(forged, "Cookie: bws_token="+s.goodToken()+"; a=1")...)
			if !strings.HasPrefix(got.Body, want) || !strings.Contains(got.Body, "X-Bws-Token=;Cookie=a=1;") {
				t.Errorf("the app gets %s, want %s", got.Body, want)
			}
		})
	}
	// The gate without a matcher keeps out what the one that only reports lets pass.
	s.checkKeptOut(t, s.raw(t, "GET /report HTTP/1.1", forged...), "no_token")
}
