package bws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/caddy-bws/caddy-bws/bws"
)

// The outcome of an operation, as a server reads it once the browser has come back with its token.
func ExampleClient_Result() {
	// Stands in for the service. Leave Endpoint out of Config to call the real one.
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"Action":"verification","BCID":"bioid/9876/12345","Success":true}`)
	}))
	defer service.Close()

	client, err := bws.NewClient(bws.Config{
		Endpoint:  service.URL + "/extension",
		AppID:     "1001513735.bws.bioid.com",
		AppSecret: "the secret that goes with it",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	result, err := client.Result(context.Background(), "a token")
	switch alice, _ := bws.ParsePattern("bioid/9876/12345"); {
	case errors.Is(err, bws.ErrNoResult):
		fmt.Println("not performed yet")
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
	case result.Success && result.Action == bws.Verification && alice.Match(result.BCID):
		fmt.Println("this is Alice")
	default:
		fmt.Println("this is not Alice:", result.Error)
	}
	// Output: this is Alice
}

func ExampleParseBCID() {
	bcid, err := bws.ParseBCID("bioid.9876.12345")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Println(bcid, bcid.Storage, bcid.Partition, bcid.Class, bcid.IsPerson())
	_, err = bws.ParseBCID("bioid/9876/012345")
	fmt.Println(err)
	// Output:
	// bioid/9876/12345 bioid 9876 12345 true
	// not a BCID of the form storage/partition/class
}
