package bws

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	const sample = `{"Version":"2.3","Label":"BWS 2.3.18128.4","Features":[` +
		`{"Name":"Verification","Traits":"Face,Periocular,Voice","Storage":"bws","Partitions":"112"}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if r.RequestURI != "/extension/status" || r.Method != http.MethodGet || id != testAppID || secret != testAppSecret {
			t.Errorf("got %s %s as %s", r.Method, r.RequestURI, id)
		}
		answer(200, "application/json", sample)(w, r)
	}))
	defer server.Close()
	got, err := newTestClient(t, server.URL+"/extension/", 0).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := ServiceStatus{Version: "2.3", Label: "BWS 2.3.18128.4", Features: []Feature{
		{Name: "Verification", Traits: "Face,Periocular,Voice", Storage: "bws", Partitions: "112"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestStatusRefuses(t *testing.T) {
	for _, test := range []struct {
		status            int
		contentType, body string
		kind              error
	}{
		{200, "application/json", ``, ErrInvalidResponse},
		{200, "application/json", `{}`, ErrInvalidResponse},
		{200, "application/json", `null`, ErrInvalidResponse},
		{200, "application/json", `{"version":"2.3"}`, ErrInvalidResponse},
		{200, "application/json", `{"Version":2.3}`, ErrInvalidResponse},
		{200, "application/json", `{"Version":"2.3","Version":"2.3"}`, ErrInvalidResponse},
		{200, "application/json", `{"Version":"2.3"}` + serverBytes, ErrInvalidResponse},
		{200, "text/html", `{"Version":"2.3"}`, ErrInvalidResponse},
		{204, "application/json", ``, ErrInvalidResponse},
		{400, "application/json", `{"Message":"` + serverBytes + `"}`, ErrInvalidResponse},
		{401, "application/json", `{"Message":"Unauthorized"}`, ErrUnauthorized},
		{403, "application/json", ``, ErrUnauthorized},
		{500, "text/html", serverBytes, ErrUnavailable},
		{200, "application/json", `{"Version":"2.3"}` + strings.Repeat(" ", maxBodyLength), ErrInvalidResponse},
	} {
		t.Run(fmt.Sprintf("%d %s %.30s", test.status, test.contentType, test.body), func(t *testing.T) {
			server := httptest.NewServer(answer(test.status, test.contentType, test.body))
			defer server.Close()
			got, err := newTestClient(t, server.URL, 0).Status(t.Context())
			if e := wantError(t, err, test.kind); e.Status != test.status || e.API != "status" {
				t.Errorf("got %+v", e)
			}
			if !reflect.DeepEqual(got, ServiceStatus{}) {
				t.Errorf("an error, and yet %+v", got)
			}
		})
	}
}
