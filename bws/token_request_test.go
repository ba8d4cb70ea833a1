package bws

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestToken(t *testing.T) {
	person := BCID{"bioid", 9876, 12345}
	for _, test := range []struct {
		request TokenRequest
		query   string
	}{
		{
			TokenRequest{person, TaskVerify | TaskLiveDetect | 3},
			"autoenroll=false&bcid=bioid%2F9876%2F12345&challenge=false&id=" + testAppID + "&livedetection=true&maxtries=3&task=verify",
		},
		{
			TokenRequest{person, TaskVerify | TaskLiveDetect | TaskChallenge | TaskAutoEnroll | 15},
			"autoenroll=true&bcid=bioid%2F9876%2F12345&challenge=true&id=" + testAppID + "&livedetection=true&maxtries=15&task=verify",
		},
		{
			TokenRequest{BCID{"bioid", 9876, -1}, TaskEnroll},
			"autoenroll=false&bcid=bioid%2F9876%2F-1&challenge=false&id=" + testAppID + "&livedetection=false&maxtries=3&task=enroll",
		},
		{
			TokenRequest{BCID{"bioid", 9876, 0}, TaskIdentify | TaskLiveDetect | 1},
			"autoenroll=false&bcid=bioid%2F9876%2F0&challenge=false&id=" + testAppID + "&livedetection=true&maxtries=1&task=identify",
		},
		{
			TokenRequest{BCID{}, TaskLiveOnly | 2},
			"autoenroll=false&challenge=false&id=" + testAppID + "&livedetection=true&maxtries=2&task=livenessdetection",
		},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, secret, _ := r.BasicAuth()
			if r.URL.Path != "/extension/token" || r.URL.RawQuery != test.query || r.Method != http.MethodGet {
				t.Errorf("got %s %s?%s\nwant %s", r.Method, r.URL.Path, r.URL.RawQuery, test.query)
			}
			if id != testAppID || secret != testAppSecret || r.Header.Get("Accept") != "text/plain" {
				t.Errorf("got credentials of %q, Accept %q", id, r.Header.Get("Accept"))
			}
			answer(200, "text/plain", testToken)(w, r)
		}))
		got, err := newTestClient(t, server.URL+"/extension", 0).Token(t.Context(), test.request)
		if err != nil || got != testToken {
			t.Errorf("%+v: got %q, %v", test.request, got, err)
		}
		server.Close()
	}
}

func TestTokenRequestRefused(t *testing.T) {
	person := BCID{"bioid", 9876, 12345}
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer server.Close()
	client := newTestClient(t, server.URL, 0)
	for name, request := range map[string]TokenRequest{
		"no BCID to verify":            {Task: TaskVerify},
		"no BCID to enroll":            {Task: TaskEnroll},
		"no BCID to identify":          {Task: TaskIdentify},
		"a partition to verify":        {BCID{"bioid", 9876, 0}, TaskVerify},
		"a partition to enroll":        {BCID{"bioid", 9876, 0}, TaskEnroll},
		"a person for a liveness test": {person, TaskLiveOnly},
		"storage that is no word":      {BCID{"bio&id", 1, 1}, TaskVerify},
		"no storage":                   {BCID{"", 1, 1}, TaskIdentify},
		"two kinds":                    {person, TaskIdentify | TaskEnroll},
		"unknown kind":                 {person, 0x40},
		"unknown condition":            {person, TaskVerify | 0x400},
		"negative task":                {person, -1},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := client.Token(t.Context(), request)
			if err == nil || token != "" {
				t.Errorf("got %q, %v", token, err)
			}
		})
	}
	if calls.Load() != 0 {
		t.Error("the service was asked")
	}
}

func TestTokenBody(t *testing.T) {
	for body, ok := range map[string]bool{
		testToken:                             true,
		testToken + "\r\n":                    true,
		`"` + testToken + `"`:                 true,
		" \"" + testToken + "\"\n":            true,
		`"` + testToken:                       false,
		testToken + `"`:                       false,
		`""` + testToken + `""`:               false,
		"":                                    false,
		`"`:                                   false,
		`""`:                                  false,
		"<html>" + serverBytes + "</html>":    false,
		testToken + " " + testToken:           false,
		`{"token":"` + testToken + `"}`:       false,
		"a.b.c":                               false,
		strings.Repeat("A", maxBodyLength+10): false,
	} {
		server := httptest.NewServer(answer(200, "text/plain; charset=utf-8", body))
		got, err := newTestClient(t, server.URL, 0).Token(t.Context(), TokenRequest{Task: TaskLiveOnly})
		switch {
		case ok && (err != nil || got != testToken):
			t.Errorf("%.50q: got %.50q, %v", body, got, err)
		case !ok:
			if e := wantError(t, err, ErrInvalidResponse); got != "" || e.Status != 200 || e.API != "token" {
				t.Errorf("%.50q: got %.50q, %+v", body, got, e)
			}
		}
		server.Close()
	}
}

func TestTokenStatus(t *testing.T) {
	for status, kind := range map[int]error{
		204: ErrInvalidResponse, 302: ErrInvalidResponse, 400: ErrInvalidResponse, 404: ErrInvalidResponse,
		401: ErrUnauthorized, 403: ErrUnauthorized, 429: ErrUnavailable, 500: ErrUnavailable,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			server := httptest.NewServer(answer(status, "text/plain", testToken))
			defer server.Close()
			got, err := newTestClient(t, server.URL, 0).Token(t.Context(), TokenRequest{Task: TaskLiveOnly})
			if e := wantError(t, err, kind); got != "" || e.Status != status {
				t.Errorf("got %q, %+v", got, e)
			}
		})
	}
}
