package cli

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

func TestToken(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		task bws.Task
		bcid string
	}{
		"as usual":       {[]string{"--bcid", "bws/1/42"}, 259, "bws/1/42"},
		"dots":           {[]string{"--bcid", "bws.1.42"}, 259, "bws/1/42"},
		"all":            {[]string{"--bcid", "bws/1/42", "--task", "verify", "--max-tries", "15", "--challenge"}, 0x30f, "bws/1/42"},
		"identify":       {[]string{"--bcid", "bws/1/0", "--task", "identify", "--max-tries", "1"}, 0x111, "bws/1/0"},
		"enroll":         {[]string{"--bcid", "bws/1/42", "--task", "enroll"}, 0x123, "bws/1/42"},
		"live detection": {[]string{"--task", "livenessdetection"}, 0x83, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			r := d.runConfigured("", append([]string{"token"}, test.args...)...)
			r.check(0)
			claims, err := bws.ParseToken(strings.TrimSuffix(r.out, "\n"))
			if err != nil || claims.Task != test.task || claims.BCID != test.bcid || r.errors != "" {
				t.Errorf("got %+v, %v, %s", claims, err, r.errors)
			}
		})
	}
}

func TestTokenRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no bcid":             {nil, "--bcid is missing"},
		"an empty bcid":       {[]string{"--bcid", ""}, "--bcid is missing"},
		"no person":           {[]string{"--bcid", "alice"}, "--bcid: not a BCID: write storage/partition/class"},
		"a partition":         {[]string{"--bcid", "bws/1/0"}, "--bcid: class 0 is a whole partition"},
		"someone alive":       {[]string{"--bcid", "bws/1/42", "--task", "livenessdetection"}, "--bcid: a liveness detection is about nobody"},
		"an unknown task":     {[]string{"--bcid", "bws/1/42", "--task", "Verify"}, "--task: use one of verify"},
		"an empty task":       {[]string{"--bcid", "bws/1/42", "--task", ""}, "--task: use one of verify"},
		"no tries":            {[]string{"--bcid", "bws/1/42", "--max-tries", "0"}, "--max-tries: use 1 to 15"},
		"a lot of tries":      {[]string{"--bcid", "bws/1/42", "--max-tries", "16"}, "--max-tries: use 1 to 15"},
		"tries of a kind":     {[]string{"--bcid", "bws/1/42", "--max-tries", "x"}, "--max-tries: not a valid value"},
		"a value for nothing": {[]string{"--bcid", "bws/1/42", "--challenge=x"}, "--challenge takes no value"},
		"nothing for a value": {[]string{"--bcid"}, "--bcid: the value is missing"},
		"another flag":        {[]string{"--bcid", "bws/1/42", "--secret", "x"}, "there is no such flag"},
		"another service":     {[]string{"--bcid", "bws/1/42", "--service", "x"}, "the configuration has no service of that name: choose one of broken, default"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			r := d.run("", append([]string{"token", "--config", d.config}, test.args...)...)
			r.check(exitUsage, "bws token: "+test.want)
			r.silent()
			if d.service.Calls("/token") != 0 {
				t.Error("BWS was asked")
			}
		})
	}
}

func TestTokenWithoutAnAnswer(t *testing.T) {
	d := newDesk(t)
	d.service.Script("/token", bwstest.Answer{Status: http.StatusBadRequest}, bwstest.Answer{Status: http.StatusForbidden}, bwstest.Answer{Status: 503})
	for _, test := range []struct {
		code int
		want string
	}{
		{exitNegative, "check the BCID and the task: 'caddy bws probe' says"},
		{exitNegative, "compare app_id, app_secret and endpoint"},
		{exitFault, "see whether this machine reaches the endpoint"},
	} {
		r := d.runConfigured("", "token", "--bcid", "bws/1/42")
		r.check(test.code, test.want)
		r.silent()
	}
	d.runConfigured("", "token", "--bcid", "bws/1/42", "-s", "broken").check(exitFault, `service "broken": app_secret: it is empty: correct the configuration`)
}

func TestTokenJSON(t *testing.T) {
	d := newDesk(t)
	r := d.runConfigured("", "token", "--bcid", "bws/1/42", "--json")
	r.check(0)
	_, rest, _ := strings.Cut(r.out, `"token": "`)
	token, _, _ := strings.Cut(rest, `"`)
	if _, err := bws.ParseToken(token); err != nil {
		t.Errorf("the token is %q: %v", token, err)
	}
	r.golden("token.json", token, "<token>")
}
