package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// authority signs the certificates of services.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	// file holds the certificate.
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	der := a.issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.key, _ = der.PrivateKey.(*ecdsa.PrivateKey)
	var err error
	if a.cert, err = x509.ParseCertificate(der.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der.Certificate[0]})
	if err := os.WriteFile(a.file, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue signs a certificate that is valid now, unless the template says otherwise. The first is the authority's own.
func (a *authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	template.NotBefore = template.NotAfter.Add(-48 * time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Security cases 75, 76 and 90: a service that cannot be reached, or does not prove who it is, or does not even get that far, is
// one answer in time. Nobody but the service gets the token, and the log says what is wrong without it.
func TestServiceOutOfReach(t *testing.T) {
	covers(t, 75, 76, 90)
	ca := newAuthority(t)
	ours := func() *x509.Certificate {
		return &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	}
	elsewhere, expired := ours(), ours()
	elsewhere.IPAddresses, elsewhere.DNSNames = nil, []string{"bws.example.com"}
	expired.NotAfter = time.Now().Add(-time.Hour)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	// Each service is a bwstest.Service of its own behind a listener of the case's making.
	rows := []struct {
		name   string
		config *tls.Config // nil for no TLS
		url    string      // in place of the listener's
		reason string      // "" for a service that is fine
		log    string
	}{
		{name: "good", config: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, ours())}}},
		{name: "tls12", config: &tls.Config{Certificates: []tls.Certificate{ca.issue(t, ours())}, MaxVersion: tls.VersionTLS12}},
		{"host", &tls.Config{Certificates: []tls.Certificate{ca.issue(t, elsewhere)}}, "", "service_unavailable", "not valid for 127.0.0.1"},
		{"expired", &tls.Config{Certificates: []tls.Certificate{ca.issue(t, expired)}}, "", "service_unavailable", "has expired"},
		{"stranger", &tls.Config{Certificates: []tls.Certificate{newAuthority(t).issue(t, ours())}}, "", "service_unavailable",
			"unknown authority"},
		{"old", &tls.Config{Certificates: []tls.Certificate{ca.issue(t, ours())}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, "",
			"service_unavailable", "protocol version"},
		{"plain", nil, "", "service_unavailable", "does not speak TLS"},
		{"silent", nil, "https://" + silent.Addr().String(), "service_timeout", "did not answer in time"},
		{"nobody", nil, "https://" + freeAddr(t), "service_unavailable", "connection refused"},
		{"proxy", nil, "https://bws.example.com", "service_unavailable", "connection refused"},
	}
	var options, gates strings.Builder
	services := make(map[string]*bwstest.Service)
	for _, row := range rows {
		service := bwstest.New(bwstest.Config{})
		services[row.name] = service
		endpoint := row.url
		if endpoint == "" {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			endpoint = "https://" + l.Addr().String()
			if row.config != nil {
				l = tls.NewListener(l, row.config)
			}
			server := &http.Server{Handler: service, ErrorLog: log.New(io.Discard, "", 0)}
			go func() { _ = server.Serve(l) }()
			t.Cleanup(func() { _ = server.Close() })
		}
		proxy := ""
		if row.name == "proxy" {
			proxy = "\t\tproxy http://" + freeAddr(t) + "\n"
		}
		fmt.Fprintf(&options, "\tbws %s {\n\t\tendpoint %s\n\t\tapp_id %s\n\t\tapp_secret %s\n\t\ttimeout 1s\n\t\ttls_trust_pool file %s\n%s\t}\n",
			row.name, endpoint+bwstest.Base, bwstest.AppID, bwstest.AppSecret, ca.file, proxy)
		fmt.Fprintf(&gates, "\tbws /%s %s\n", row.name, row.name)
	}
	app := newApp(t)
	c := startCaddy(t, options.String(), "{addr} {\n"+gates.String()+"\treverse_proxy "+app.Listener.Addr().String()+"\n}")

	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			service := services[row.name]
			token := goodOf(service, alice)
			start := time.Now()
			got := do(t, http.MethodGet, "http://"+c.Addr+"/"+row.name, "X-BWS-Token: "+token)
			if took := time.Since(start); took > lateness {
				t.Errorf("the answer took %s", took)
			}
			if allowed := len(app.take()) > 0; got.reason() != row.reason || allowed != (row.reason == "") {
				t.Errorf("got %d %s, want %q", got.StatusCode, got.Body, row.reason)
			}
			if asked := service.Calls("/result"); (asked > 0) != (row.reason == "") {
				t.Errorf("the service has got the token %d times", asked)
			}
			c.waitForLog(row.log)
			checkNoToken(t, c, token)
		})
	}
}

// lateness is what no answer takes with the services of these tests, whose timeout is 1s at most. The machine may be busy; what
// hangs hangs for much longer.
const lateness = 5 * time.Second

// checkNoToken checks that the log has neither a token nor our credentials, in whatever form.
func checkNoToken(t *testing.T, c *caddyProcess, token string) {
	t.Helper()
	_, _, signature := split(token)
	for _, secret := range []string{signature, "access_token", bwstest.AppSecret, basicAuth(bwstest.AppID, bwstest.AppSecret)} {
		if strings.Contains(c.logs.String(), secret) {
			t.Errorf("the log shows %s:\n%s", secret, c.logs.String())
		}
	}
}
