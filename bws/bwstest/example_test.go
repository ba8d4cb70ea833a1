package bwstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// cleanup does what a *testing.T does for a server: it runs what is left to do when the test has ended.
type cleanup []func()

func (*cleanup) Helper() {}

func (c *cleanup) Cleanup(f func()) { *c = append(*c, f) }

func (c *cleanup) run() {
	for _, f := range *c {
		f()
	}
}

// A test has a service of its own for as long as it runs. Who is enrolled is recognized, unless the test says otherwise.
func ExampleNewServer() {
	t := new(cleanup) // in a test, its *testing.T
	defer t.run()
	service := bwstest.NewServer(t, bwstest.Config{})
	client, err := bws.NewClient(bws.Config{Endpoint: service.URL, AppID: bwstest.AppID, AppSecret: bwstest.AppSecret})
	if err != nil {
		panic(err)
	}
	alice := bws.BCID{Storage: "bws", Partition: 1, Class: 42}
	token := service.Token(bwstest.TokenSpec{BCID: alice})

	service.Perform(token, bwstest.Outcome{Success: true})
	result, err := client.Result(context.Background(), token)
	fmt.Println(result.BCID, result.Success, err)

	service.Perform(token, bwstest.Outcome{Error: bws.LiveDetectionFailed})
	result, err = client.Result(context.Background(), token)
	fmt.Println(result.BCID, result.Success, result.Error, err)

	fmt.Println(service.Calls("/result"), "calls")
	// Output:
	// bws/1/42 true <nil>
	// bws/1/42 false LiveDetectionFailed <nil>
	// 2 calls
}

// With TLS, clients must trust the certificate that the server has made for itself.
func ExampleNewTLSServer() {
	t := new(cleanup) // in a test, its *testing.T
	defer t.run()
	service := bwstest.NewTLSServer(t, bwstest.Config{})
	client, err := bws.NewClient(bws.Config{
		Endpoint: service.URL, AppID: bwstest.AppID, AppSecret: bwstest.AppSecret,
		Transport: bws.NewTransport(bws.TransportConfig{RootCAs: service.CertPool()}),
	})
	if err != nil {
		panic(err)
	}
	defer client.CloseIdleConnections()
	_, err = client.Status(context.Background())
	fmt.Println(err)
	// Output: <nil>
}

// The service is a handler: put it wherever a program serves HTTP.
func ExampleNew() {
	service := bwstest.New(bwstest.Config{AppID: "demo", AppSecret: "demo-secret"})
	server := httptest.NewServer(service)
	defer server.Close()

	client, err := bws.NewClient(bws.Config{Endpoint: server.URL + bwstest.Base, AppID: "demo", AppSecret: "demo-secret"})
	if err != nil {
		panic(err)
	}
	status, err := client.Status(context.Background())
	fmt.Println(status.Label, err)
	// Output: BWS emulator <nil>
}

// Any answer can be put in place of the service's own, to see what becomes of it.
func ExampleService_Script() {
	service := bwstest.New(bwstest.Config{})
	server := httptest.NewServer(service)
	defer server.Close()
	client, err := bws.NewClient(bws.Config{Endpoint: server.URL + bwstest.Base, AppID: bwstest.AppID, AppSecret: bwstest.AppSecret})
	if err != nil {
		panic(err)
	}
	token := service.Token(bwstest.TokenSpec{})

	service.Script("/result",
		bwstest.Answer{Status: 503},
		bwstest.Answer{Body: []byte(`{"Success":true,"Success":false}`)})
	for _, kind := range []error{bws.ErrUnavailable, bws.ErrInvalidResponse, bws.ErrNoResult} {
		_, err := client.Result(context.Background(), token)
		fmt.Println(errors.Is(err, kind))
	}
	// Output:
	// true
	// true
	// true
}

// A token may say anything, to see how the service judges it.
func ExampleService_Mint() {
	service := bwstest.New(bwstest.Config{})
	server := httptest.NewServer(service)
	defer server.Close()
	client, err := bws.NewClient(bws.Config{Endpoint: server.URL + bwstest.Base, AppID: bwstest.AppID, AppSecret: bwstest.AppSecret})
	if err != nil {
		panic(err)
	}
	ended := service.Mint(map[string]any{"app": bwstest.AppID, "task": bwstest.DefaultTask, "bcid": "bws/1/42", "nbf": 1, "exp": 2})
	_, err = client.Result(context.Background(), ended)
	fmt.Println(err)
	// Output: bws result: the service rejects the token (status 400)
}

// The page needs no emulator: it can take people through operations of the real service.
func ExampleCapturePage() {
	page := httptest.NewServer(bwstest.CapturePage("https://bws.bioid.com/extension"))
	defer page.Close()
	response, err := http.Get(page.URL + bwstest.PerformTask)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status, response.Header.Get("Content-Type"))
	// Output: 200 OK text/html; charset=utf-8
}

// The clock of a service can be set, so that a test need not wait for a token to end.
func ExampleConfig() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	service := bwstest.New(bwstest.Config{Now: func() time.Time { return now }})
	claims, err := bws.ParseToken(service.Token(bwstest.TokenSpec{Lifetime: time.Minute}))
	if err != nil {
		panic(err)
	}
	fmt.Println(claims.Expires.Sub(now))
	// Output: 1m0s
}
