package bwstest_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// The client of package bws and the emulator must mean the same by everything they exchange.

func newClient(t *testing.T, cfg bws.Config) *bws.Client {
	t.Helper()
	if cfg.AppID == "" {
		cfg.AppID = bwstest.AppID
	}
	if cfg.AppSecret == "" {
		cfg.AppSecret = bwstest.AppSecret
	}
	client, err := bws.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func TestClientRoundTrip(t *testing.T) {
	tests := []struct {
		path    string
		request bws.TokenRequest
		want    bws.OperationResult
	}{
		{
			"/verify", bws.TokenRequest{BCID: alice, Task: bws.TaskVerify | bws.TaskLiveDetect | bws.TaskChallenge | 5},
			bws.OperationResult{Action: bws.Verification, BCID: alice, Success: true},
		},
		{
			"/verify", bws.TokenRequest{BCID: eve, Task: bws.TaskVerify | bws.TaskAutoEnroll | 1},
			bws.OperationResult{Action: bws.Verification, BCID: eve, Error: bws.NoTemplateAvailable},
		},
		{
			"/enroll", bws.TokenRequest{BCID: eve, Task: bws.TaskEnroll | bws.TaskLiveDetect | 3},
			bws.OperationResult{Action: bws.Enrollment, BCID: eve, Success: true},
		},
		{
			"/identify", bws.TokenRequest{BCID: all, Task: bws.TaskIdentify | bws.TaskLiveDetect | 15},
			bws.OperationResult{Action: bws.Identification, BCID: all, Success: true, Matches: []bws.Match{
				{BCID: alice, Score: 0.9}, {BCID: bob, Score: 0.45},
			}},
		},
		{
			"/livenessdetection", bws.TokenRequest{Task: bws.TaskLiveOnly | 3},
			bws.OperationResult{Action: bws.LiveDetection, Success: true},
		},
	}
	clock := newClock()
	s := bwstest.NewServer(t, bwstest.Config{Now: clock.Now})
	s.Enroll(alice)
	s.Enroll(bob)
	client := newClient(t, bws.Config{Endpoint: s.URL + "/"})
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			token, err := client.Token(t.Context(), tt.request)
			if err != nil {
				t.Fatal(err)
			}
			claims, err := bws.ParseToken(token)
			if err != nil {
				t.Fatal(err)
			}
			if claims.App != bwstest.AppID || claims.BCID != tt.request.BCID.String() || claims.Task != tt.request.Task ||
				!claims.NotBefore.Equal(clock.Now()) || claims.Expires.Sub(claims.NotBefore) != bwstest.DefaultLifetime ||
				claims.Issuer != "BWS" || claims.TokenID == "" {
				t.Errorf("claims %+v for %+v", claims, tt.request)
			}
			if _, err := client.Result(t.Context(), token); !errors.Is(err, bws.ErrNoResult) {
				t.Errorf("before the operation: %v", err)
			}
			if w := perform(s, tt.path, token); w.Code != http.StatusOK {
				t.Fatalf("the operation got status %d: %s", w.Code, w.Body)
			}
			result, err := client.Result(t.Context(), token)
			if err != nil || !reflect.DeepEqual(result, tt.want) {
				t.Errorf("result %+v, %v, want %+v", result, err, tt.want)
			}
		})
	}
}

func TestClientIsToldEveryStatus(t *testing.T) {
	clock := newClock()
	s := bwstest.NewServer(t, bwstest.Config{Now: clock.Now})
	token := s.Token(bwstest.TokenSpec{BCID: alice})
	s.Perform(token, bwstest.Outcome{Success: true})
	client := newClient(t, bws.Config{Endpoint: s.URL})
	wrong := newClient(t, bws.Config{Endpoint: s.URL, AppSecret: "wrong"})
	hasty := newClient(t, bws.Config{Endpoint: s.URL, Timeout: 20 * time.Millisecond})

	tests := []struct {
		name   string
		client *bws.Client
		script []bwstest.Answer
		want   error
	}{
		{"a result", client, nil, nil},
		{"a wrong secret", wrong, nil, bws.ErrUnauthorized},
		{"a fault", client, []bwstest.Answer{{Status: 500}}, bws.ErrUnavailable},
		{"silence", hasty, []bwstest.Answer{{Hang: true}}, bws.ErrTimeout},
		{"a slow body", hasty, []bwstest.Answer{{Body: []byte(`{"Success":false}`), Drip: 10 * time.Millisecond}}, bws.ErrTimeout},
		{"no answer", client, []bwstest.Answer{{Raw: []byte{}}, {Raw: []byte{}}}, bws.ErrUnavailable},
		{"no JSON", client, []bwstest.Answer{{Body: []byte(`<html>`)}}, bws.ErrInvalidResponse},
		{
			"a page", client, []bwstest.Answer{{Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte(`{}`)}},
			bws.ErrInvalidResponse,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer s.Reset()
			s.Script("/result", tt.script...)
			if _, err := tt.client.Result(t.Context(), token); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			last := s.LastRequest("/result")
			if tokens := last.Query["access_token"]; len(tokens) != 1 || tokens[0] != token {
				t.Errorf("the client sent %d tokens, or another one", len(tokens))
			}
			if auth := last.Header.Values("Authorization"); len(auth) != 1 || !strings.HasPrefix(auth[0], "Basic ") {
				t.Errorf("the client sent %d credentials, or not as Basic", len(auth))
			}
		})
	}

	clock.Advance(bwstest.DefaultLifetime)
	if _, err := client.Result(t.Context(), token); !errors.Is(err, bws.ErrTokenRejected) {
		t.Errorf("an expired token: %v", err)
	}
}

func TestClientStatus(t *testing.T) {
	s := bwstest.NewServer(t, bwstest.Config{Label: "here", Storage: "bioid", Partition: 9876})
	status, err := newClient(t, bws.Config{Endpoint: s.URL}).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if status.Version != "2.3" || status.Label != "here" || len(status.Features) == 0 {
		t.Errorf("status %+v", status)
	}
	for _, f := range status.Features {
		if f.Name == "" || f.Traits == "" || f.Storage != "bioid" || f.Partitions != "9876" {
			t.Errorf("feature %+v", f)
		}
	}
	_, err = newClient(t, bws.Config{Endpoint: s.URL, AppID: "other"}).Status(t.Context())
	if !errors.Is(err, bws.ErrUnauthorized) {
		t.Errorf("an unknown App-ID: %v", err)
	}
}

func TestTLS(t *testing.T) {
	s := bwstest.NewTLSServer(t, bwstest.Config{})
	trusting := bws.NewTransport(bws.TransportConfig{RootCAs: s.CertPool()})
	if _, err := newClient(t, bws.Config{Endpoint: s.URL, Transport: trusting}).Status(t.Context()); err != nil {
		t.Error(err)
	}
	s.Script("/status", bwstest.Answer{Raw: []byte("HTTP/1.1 503 \r\n\r\n")})
	if _, err := newClient(t, bws.Config{Endpoint: s.URL, Transport: trusting}).Status(t.Context()); !errors.Is(err, bws.ErrUnavailable) {
		t.Errorf("a raw answer: %v", err)
	}
	if pool := bwstest.NewServer(t, bwstest.Config{}).CertPool(); !pool.Equal(x509.NewCertPool()) {
		t.Error("a server without TLS has a certificate")
	}
}
