package emulator_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/emulator"
)

// The emulator answers a client as BWS does. In a Caddyfile it is the directive bws_emulator.
func Example() {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	handler := &emulator.Emulator{AppID: "demo", AppSecret: "demo-secret", Enrolled: []string{"bws/1/42"}}
	if err := handler.Provision(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = handler.Cleanup() }()
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return caddyhttp.Error(http.StatusNotFound, nil) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = handler.ServeHTTP(w, r, next)
	}))
	defer server.Close()

	client, err := bws.NewClient(bws.Config{Endpoint: server.URL + "/extension", AppID: "demo", AppSecret: "demo-secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	status, err := client.Status(ctx)
	fmt.Println(status.Label, err)
	// Output:
	// BWS emulator <nil>
}
