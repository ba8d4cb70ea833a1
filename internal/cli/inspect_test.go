package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

func TestInspect(t *testing.T) {
	for name, test := range map[string]struct {
		spec bwstest.TokenSpec
		age  time.Duration
		want []string
	}{
		"as usual": {bwstest.TokenSpec{BCID: alice}, 83 * time.Second, []string{
			"app        " + bwstest.AppID + "\n", "bcid       bws/1/42\n", "verification, with live detection, up to 3 tries (task 259)",
			"traits     face, periocular\n", "issued     2026-05-04T12:00:00Z (1m23s ago)\n",
			"expires    2026-05-04T12:10:00Z (in 8m37s)\n", "now        within its time\n", "Nothing of this is verified",
		}},
		"expired":                    {bwstest.TokenSpec{BCID: alice}, time.Hour, []string{"(50m0s ago)", "now        expired\n"}},
		"expired a moment ago":       {bwstest.TokenSpec{BCID: alice}, 601 * time.Second, []string{"(1s ago)", "within its time\n"}},
		"of the future":              {bwstest.TokenSpec{BCID: alice}, -time.Hour, []string{"(in 1h0m0s)", "now        not valid yet\n"}},
		"no live detection":          {bwstest.TokenSpec{BCID: alice, Task: 5}, 0, []string{"verification, without live detection, up to 5 tries"}},
		"live detection alone":       {bwstest.TokenSpec{Task: bws.TaskLiveOnly}, 0, []string{"livenessdetection, with live detection", "bcid       none\n"}},
		"challenges that enroll too": {bwstest.TokenSpec{BCID: alice, Task: bws.TaskLiveDetect | bws.TaskChallenge | bws.TaskAutoEnroll}, 0, []string{"with challenges, enrolls, too"}},
		"identification":             {bwstest.TokenSpec{BCID: partition, Task: bws.TaskIdentify}, 0, []string{"identification, without"}},
		"enrollment, by voice":       {bwstest.TokenSpec{BCID: alice, Task: bws.TaskEnroll, Traits: 4}, 0, []string{"enrollment, ", "traits     voice\n"}},
		"no known operation":         {bwstest.TokenSpec{BCID: alice, Task: 0x40}, 0, []string{"unknown, "}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			token := d.token(test.spec, nil)
			d.now = start.Add(test.age)
			d.run(token, "inspect").check(0, test.want...)
		})
	}
}

func TestInspectJSON(t *testing.T) {
	d := newDesk(t)
	token := d.token(bwstest.TokenSpec{BCID: alice}, nil)
	d.now = start.Add(83 * time.Second)
	r := d.run(token, "inspect", "--json")
	r.check(0)
	r.golden("inspect.json")

	// What old tokens lack is there all the same.
	r = d.run(d.service.Mint(map[string]any{"nbf": start.Unix(), "exp": start.Unix() + 1}), "inspect", "--json")
	r.check(0)
	r.golden("inspect_sparse.json")
}

// A token is written by whoever presents it, and must not write to the terminal.
func TestInspectEscapes(t *testing.T) {
	d := newDesk(t)
	token := d.service.Mint(map[string]any{
		"nbf": start.Unix(), "exp": start.Unix() + 600, "app": "a\x1b[2Jb", "bcid": "x\ny", "tokenid": "\u202e", "clnt": "Grüße",
	})
	r := d.run(token, "inspect")
	r.check(0, `"a\x1b[2Jb"`, `"x\ny"`, `"\u202e"`, "Grüße")
	if strings.ContainsAny(r.out, "\x1b\u202e") {
		t.Errorf("the terminal gets %q", r.out)
	}
}
