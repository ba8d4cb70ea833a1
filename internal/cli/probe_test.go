package cli

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

func TestProbe(t *testing.T) {
	d := newDesk(t)
	r := d.runConfigured("", "probe", "default")
	r.check(0, "service   default\n", "endpoint  "+d.service.URL+"\n", "app_id    "+bwstest.AppID+"\n", ": version 2.3, BWS emulator\n",
		"the credentials are accepted, a made-up token is not", "offers    Verification (Face,Periocular) for bws/1/*\n")
	if strings.Contains(r.out+r.errors, bwstest.AppSecret) {
		t.Error("the secret is printed")
	}
	if n := d.service.Calls("/token"); n != 0 {
		t.Errorf("it took %d tokens", n)
	}
}

func TestProbeFindsWhatIsWrong(t *testing.T) {
	page := bwstest.Answer{Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html>")}
	for name, test := range map[string]struct {
		break_ func(*desk)
		code   int
		want   []string
	}{
		"credentials": {func(d *desk) { d.secret = "wrong" }, exitNegative, []string{
			"status    NOT OK: bws status: the service rejects", "result    NOT OK: ", "to do: compare app_id, app_secret and endpoint",
		}},
		"credentials, for results alone": {func(d *desk) { d.service.ScriptAlways("/result", bwstest.Answer{Status: 403}) }, exitNegative,
			[]string{"status    ok", "result    NOT OK"}},
		"nobody there": {func(d *desk) { d.service.Close() }, exitFault, []string{"connection refused", "result    not asked"}},
		"silence": {func(d *desk) { d.service.ScriptAlways("/status", bwstest.Answer{Hang: true}) }, exitFault,
			[]string{"did not answer in time", "raise timeout", "result    not asked"}},
		"down":           {func(d *desk) { d.service.ScriptAlways("/status", bwstest.Answer{Status: 500}) }, exitFault, []string{"status 500", "to do: "}},
		"a page":         {func(d *desk) { d.service.ScriptAlways("/status", page) }, exitFault, []string{"see whether endpoint is the Web API"}},
		"takes anything": {func(d *desk) { d.service.ScriptAlways("/result", bwstest.Answer{Status: 204}) }, exitFault, []string{"made-up token, which BWS never does"}},
		"lets anybody in": {func(d *desk) {
			d.service.ScriptAlways("/result", bwstest.Answer{Body: []byte(`{"Action":"verification","BCID":"bws/1/42","Success":true}`)})
		}, exitFault, []string{"made-up token, which BWS never does"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			test.break_(d)
			r := d.runConfigured("", "probe", "default")
			r.check(test.code, test.want...)
			if n := strings.Count(r.out, "to do: "); n != 1 {
				t.Errorf("it says %d times what to do:\n%s", n, r.out)
			}
		})
	}
}

// Without a name, all services are asked, and the worst counts: a fault, since it may hide a refusal.
func TestProbeAll(t *testing.T) {
	d := newDesk(t)
	d.runConfigured("", "probe").check(exitFault, "service        broken\n", "configuration  NOT OK: app_secret: it is empty",
		"--envfile", "\nservice", "default\n", "accepted")
	for _, test := range []struct{ first, second, want int }{
		{0, 0, 0}, {0, 3, 3}, {3, 0, 3}, {3, 1, 1}, {1, 3, 1}, {0, 1, 1},
	} {
		found := make([]probed, 2)
		for i, code := range []int{test.first, test.second} {
			found[i].add("status", 0, map[int]diagnosis{0: {Outcome: outcomeOK}, 1: {Outcome: outcomeInvalid}, 3: {Outcome: outcomeRefused}}[code])
		}
		got := 0
		if failure, ok := errors.AsType[*failure](worst(found)); ok {
			got = failure.code
		}
		if got != test.want {
			t.Errorf("%d and %d: got %d, want %d", test.first, test.second, got, test.want)
		}
	}
}

func TestProbeWithoutServices(t *testing.T) {
	d := newDesk(t)
	none := &environment{services: func([]byte) ([]Service, error) { return nil, nil }}
	for _, args := range [][]string{{"probe", "--config", d.config}, {"probe", "default", "--config", d.config}, {"result", "--config", d.config}} {
		runWith(t, none, "", args...).check(exitFault, `the configuration has no service: add the global option "bws"`)
	}
	d.runConfigured("", "probe", "nosuch").check(exitUsage, "no service of that name: choose one of broken, default")

	odd := &environment{services: func([]byte) ([]Service, error) { return nil, errors.New("it is odd") }}
	runWith(t, odd, "", "probe", "--config", d.config).check(exitFault, "it is odd")
	t.Chdir(t.TempDir())
	d.run("", "probe").check(exitFault, "there is no Caddyfile in this directory: name the configuration with --config")
	d.run("", "probe", "--config", "nowhere").check(exitFault, "no such file")
	d.run("", "probe", "--config", writeFile(t, "caddy.json", "{")).check(exitFault, "not valid JSON")
}

func TestProbeJSON(t *testing.T) {
	d := newDesk(t)
	replace := []string{d.service.URL, "<endpoint>"}
	r := d.runConfigured("", "probe", "--json")
	r.check(exitFault)
	r.golden("probe.json", replace...)
	d.secret = "wrong"
	r = d.runConfigured("", "probe", "default", "--json")
	r.check(exitNegative)
	r.golden("probe_refused.json", replace...)
}
