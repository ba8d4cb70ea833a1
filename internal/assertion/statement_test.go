package assertion

import (
	"reflect"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

func TestClaims(t *testing.T) {
	n := newReadyNode(t)
	n.Advance(999 * time.Millisecond)
	at := float64(n.Now().Unix())
	claims := func(edit func(map[string]any)) map[string]any {
		c := map[string]any{
			"iss": "https://app.example", "aud": "app.example", "sub": "bioid/9876/12345", "iat": at, "nbf": at, "exp": at + 60,
			"act": "verification", "age": 90.0, "live": true, "amr": []any{"face"}, "method": "GET", "path": "/page",
		}
		edit(c)
		return c
	}
	for name, test := range map[string]struct {
		evidence evidence.Evidence
		want     map[string]any
	}{
		"verification": {
			evidence.Evidence{Action: bws.Verification, BCID: alice, Task: bws.TaskLiveDetect, Face: true},
			claims(func(map[string]any) {}),
		},
		"not by the face, and perhaps a photograph": {
			evidence.Evidence{Action: bws.Verification, BCID: alice},
			claims(func(c map[string]any) { delete(c, "amr"); c["live"] = false }),
		},
		"a challenge": {
			evidence.Evidence{Action: bws.Identification, BCID: alice, Task: bws.TaskIdentify | bws.TaskChallenge, Matched: true, Face: true},
			claims(func(c map[string]any) { c["act"] = "identification" }),
		},
		"enrollment authenticates nobody": {
			evidence.Evidence{Action: bws.Enrollment, BCID: alice, Task: bws.TaskEnroll | bws.TaskLiveDetect, Face: true},
			claims(func(c map[string]any) { delete(c, "amr"); c["act"] = "enrollment" }),
		},
		"nobody is named": {
			evidence.Evidence{Action: bws.LiveDetection, Task: bws.TaskLiveOnly, Face: true},
			claims(func(c map[string]any) { delete(c, "amr"); delete(c, "sub"); c["act"] = "livenessdetection" }),
		},
		"by a clock that is ahead": {
			evidence.Evidence{Action: bws.Verification, BCID: alice, Task: bws.TaskLiveDetect, Face: true, NotBefore: n.Now().Add(time.Minute)},
			claims(func(c map[string]any) { c["age"] = 0.0 }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.evidence.NotBefore.IsZero() {
				test.evidence.NotBefore = n.Now().Add(-90 * time.Second)
			}
			s := Of([16]byte{1}, &test.evidence)
			s.Issuer, s.Audience, s.Method, s.Path, s.Lifetime = "https://app.example", "app.example", "GET", "/page", time.Minute
			got, _ := n.verify(t, n.sign(t, s))
			if id, _ := got["jti"].(string); len(id) < 22 {
				t.Errorf("the id is %q", id)
			}
			delete(got, "jti")
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
		})
	}
}
