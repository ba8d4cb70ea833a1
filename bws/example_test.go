package bws_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// A token for the verification of a person, the operation, and what came of it.
func Example() {
	service := bwstest.New(bwstest.Config{}) // stands in for the service
	server := httptest.NewServer(service)
	defer server.Close()
	ctx := context.Background()

	client, err := bws.NewClient(bws.Config{
		Endpoint:  server.URL + bwstest.Base, // leave it out for the real one
		AppID:     bwstest.AppID,
		AppSecret: bwstest.AppSecret,
	})
	if err != nil {
		panic(err)
	}
	defer client.CloseIdleConnections()
	alice := bws.BCID{Storage: "bws", Partition: 1, Class: 42}
	token, err := client.Token(ctx, bws.TokenRequest{BCID: alice, Task: bws.TaskVerify | bws.TaskLiveDetect})
	if err != nil {
		panic(err)
	}
	_, err = client.Result(ctx, token)
	fmt.Println("not performed yet:", errors.Is(err, bws.ErrNoResult))

	// What a browser does with the token, on the page with the camera.
	service.Perform(token, bwstest.Outcome{Success: true})

	result, err := client.Result(ctx, token)
	if err != nil {
		panic(err)
	}
	fmt.Println(result.Action, "of", result.BCID, "succeeded:", result.Success)
	// Output:
	// not performed yet: true
	// verification of bws/1/42 succeeded: true
}

// It takes all four to know that it is Alice: no error, success, the operation, and the person.
func ExampleClient_Result() {
	service := bwstest.New(bwstest.Config{}) // stands in for the service
	server := httptest.NewServer(service)
	defer server.Close()
	client, err := bws.NewClient(bws.Config{
		Endpoint: server.URL + bwstest.Base, AppID: bwstest.AppID, AppSecret: bwstest.AppSecret,
	})
	if err != nil {
		panic(err)
	}
	alice := bws.BCID{Storage: "bws", Partition: 1, Class: 42}
	token := service.Token(bwstest.TokenSpec{BCID: alice})
	service.Perform(token, bwstest.Outcome{Error: bws.LiveDetectionFailed})

	result, err := client.Result(context.Background(), token)
	switch {
	case errors.Is(err, bws.ErrNoResult):
		fmt.Println("not performed yet")
	case err != nil:
		fmt.Println("nobody knows:", err)
	case result.Success && result.Action == bws.Verification && result.BCID == alice:
		fmt.Println("this is Alice")
	default:
		fmt.Println("this is not Alice:", result.Error)
	}
	// Output: this is not Alice: LiveDetectionFailed
}

// Errors have a kind to tell them apart by, and hold nothing that is secret.
func ExampleError() {
	server := httptest.NewServer(bwstest.New(bwstest.Config{})) // stands in for the service
	defer server.Close()
	client, err := bws.NewClient(bws.Config{
		Endpoint: server.URL + bwstest.Base, AppID: bwstest.AppID, AppSecret: "a wrong one",
	})
	if err != nil {
		panic(err)
	}
	_, err = client.Status(context.Background())
	fmt.Println(errors.Is(err, bws.ErrUnauthorized))
	fmt.Println(err)
	// Output:
	// true
	// bws status: the service rejects the App-ID or the App-Secret: check both (status 401)
}

func ExampleClient_Token() {
	server := httptest.NewServer(bwstest.New(bwstest.Config{})) // stands in for the service
	defer server.Close()
	client, err := bws.NewClient(bws.Config{
		Endpoint: server.URL + bwstest.Base, AppID: bwstest.AppID, AppSecret: bwstest.AppSecret,
	})
	if err != nil {
		panic(err)
	}
	// Find out who it is, of all in partition 1; with a challenge, and two tries.
	token, err := client.Token(context.Background(), bws.TokenRequest{
		BCID: bws.BCID{Storage: "bws", Partition: 1},
		Task: bws.TaskIdentify | bws.TaskChallenge | bws.TaskLiveDetect | 2,
	})
	if err != nil {
		panic(err)
	}
	claims, err := bws.ParseToken(token)
	if err != nil {
		panic(err)
	}
	fmt.Println(claims.BCID, claims.Task.Kind() == bws.TaskIdentify, claims.Task.Challenge(), claims.Task.Tries())
	// Output: bws/1/0 true true 2
}

// The status shows whether the service can be reached and accepts the credentials, before anybody needs a token.
func ExampleClient_Status() {
	server := httptest.NewServer(bwstest.New(bwstest.Config{})) // stands in for the service
	defer server.Close()
	client, err := bws.NewClient(bws.Config{
		Endpoint: server.URL + bwstest.Base, AppID: bwstest.AppID, AppSecret: bwstest.AppSecret,
	})
	if err != nil {
		panic(err)
	}
	status, err := client.Status(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(status.Label, status.Version)
	for _, feature := range status.Features {
		fmt.Println(feature.Name)
	}
	// Output:
	// BWS emulator 2.3
	// Enrollment
	// Verification
	// Identification
	// LivenessDetection
}

func ExampleNewClient() {
	_, err := bws.NewClient(bws.Config{AppID: "1001513735.bws.bioid.com"})
	fmt.Println(err)
	_, err = bws.NewClient(bws.Config{Endpoint: "http://bws.example.com/extension", AppID: "id", AppSecret: "secret"})
	fmt.Println(err)
	// Output:
	// app_secret: missing, give the App-Secret that the service issued
	// endpoint: http is for loopback addresses only, use https
}

// An installation of one's own may have a certificate that the system does not trust.
func ExampleNewTransport() {
	server := httptest.NewTLSServer(bwstest.New(bwstest.Config{})) // stands in for the service
	defer server.Close()
	authorities := x509.NewCertPool()
	authorities.AddCert(server.Certificate())
	client, err := bws.NewClient(bws.Config{
		Endpoint: server.URL + bwstest.Base, AppID: bwstest.AppID, AppSecret: bwstest.AppSecret,
		Transport: bws.NewTransport(bws.TransportConfig{RootCAs: authorities}),
	})
	if err != nil {
		panic(err)
	}
	defer client.CloseIdleConnections()
	_, err = client.Status(context.Background())
	fmt.Println(err)
	// Output: <nil>
}

// Nobody has checked the signature: claims may be a reason to deny early, and never one to allow.
func ExampleParseToken() {
	token := bwstest.New(bwstest.Config{}).Token(bwstest.TokenSpec{BCID: bws.BCID{Storage: "bws", Partition: 1, Class: 42}})

	claims, err := bws.ParseToken(token)
	if err != nil {
		panic(err)
	}
	action, _ := claims.Task.Action()
	fmt.Println(claims.BCID, action, claims.Task.LiveDetection(), claims.Expires.Sub(claims.NotBefore))

	_, err = bws.ParseToken(token + "=")
	fmt.Println(err)
	// Output:
	// bws/1/42 verification true 10m0s
	// not a well-formed token: expected a canonical JWT of at most 4096 bytes with exp and nbf
}

func ExampleParseBCID() {
	bcid, err := bws.ParseBCID("bioid.9876.12345")
	if err != nil {
		panic(err)
	}
	fmt.Println(bcid, bcid.Storage, bcid.Partition, bcid.Class, bcid.IsPerson())
	_, err = bws.ParseBCID("bioid/9876/012345")
	fmt.Println(err)
	// Output:
	// bioid/9876/12345 bioid 9876 12345 true
	// not a BCID: write storage/partition/class with 32-bit numbers and no leading zeros
}

// Parts are compared one by one: partition 1 is not the beginning of partition 12.
func ExamplePattern_Match() {
	pattern, err := bws.ParsePattern("bioid/1/*")
	if err != nil {
		panic(err)
	}
	for _, class := range []string{"bioid/1/42", "bioid/12/42", "bioid/1/0"} {
		bcid, err := bws.ParseBCID(class)
		if err != nil {
			panic(err)
		}
		fmt.Println(bcid, pattern.Match(bcid))
	}
	// Output:
	// bioid/1/42 true
	// bioid/12/42 false
	// bioid/1/0 false
}

// What the service answers is read strictly: it is what the API documents, or an error.
func ExampleDecodeResult() {
	result, err := bws.DecodeResult([]byte(`{"Action":"identification","BCID":"bws/1/0","Success":true,
		"Matches":[{"BCID":"bws/1/42","Score":0.9},{"BCID":"bws/1/43","Score":0.3}]}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(result.Matches[0].BCID, result.Matches[0].Score)

	_, err = bws.DecodeResult([]byte(`{"Success":false,"Success":true}`))
	fmt.Println(err != nil)
	// Output:
	// bws/1/42 0.9
	// true
}
