package caddybws

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// The tasks of a login. There is none to enroll: whoever holds such a token becomes whom it names.
const (
	taskVerify      = "verify"
	taskIdentify    = "identify"
	taskLiveness    = "livenessdetection"
	taskEnroll      = "enroll"
	maxMaxTries     = 15
	defaultMaxTries = 3
	defaultUI       = "https://www.bioid.com/bws/performtask"
	knownTasks      = "verify, identify or livenessdetection"
)

// Login has a browser that lacks evidence perform the biometric operation: it is sent to the camera page with a token that the
// gate requests, and comes back verified. A browser is sent there by itself only if it navigates, and once; after an operation that
// does not suffice, a page says so and offers to try again. Everything else gets the denial, as ever.
//
// A gate with a login takes a token from its own cookie, which only a login sets, and from the places that `token` names, if any.
type Login struct {
	// Whom the token is requested for: `storage/partition/class`, with request placeholders, usually of the user of a first
	// factor. A user that a bws gate has set counts as empty. To identify, the partition counts. Default: the gate's `bcid`, if
	// it is one pattern without `*`.
	BCID string `json:"bcid,omitempty"`

	// The operation: `verify`, `identify` or `livenessdetection`. Live detection is always part of it. Default: that of the only
	// allowed action; required if there are more.
	Task string `json:"task,omitempty"`

	// How often the operation may be tried with one token. Default: 3; 1 to 15.
	MaxTries int `json:"max_tries,omitempty"`

	// Demand head movements that the service chooses. Default: false, and true with `require challenge`.
	Challenge bool `json:"challenge,omitempty"`

	// The camera page: an https URL, or http for a loopback address. Supports global placeholders. Default:
	// `https://www.bioid.com/bws/performtask`.
	UI string `json:"ui,omitempty"`
}

// login is what a gate does with logins.
type login struct {
	ui   *url.URL
	task bws.Task
	// bcid is the template of whom the token is for, empty for nobody.
	bcid string
	// session is the cookie that a login leaves, empty if that is the one of the token.
	session       string
	secure, plain loginCookies
	unbound       recentReturns
}

func (g *Gate) provisionLogin() error {
	if g.Login == nil {
		return nil
	}
	ui, err := resolve(cmp.Or(g.Login.UI, defaultUI))
	if err != nil {
		return fmt.Errorf("login: ui: %w", err)
	}
	l := &login{secure: newLoginCookies(true), plain: newLoginCookies(false)}
	if l.ui, err = parseUI(ui); err != nil {
		return err
	}
	l.task = bws.TaskLiveDetect | bws.Task(cmp.Or(g.Login.MaxTries, defaultMaxTries)) //nolint:gosec // at most 15
	if g.Login.Challenge || g.policy.Require == policy.RequireChallenge {
		l.task |= bws.TaskChallenge
	}
	switch g.loginTask() {
	case taskIdentify:
		l.task |= bws.TaskIdentify
	case taskLiveness:
		l.task |= bws.TaskLiveOnly
	}
	if l.task.Kind() != bws.TaskLiveOnly {
		l.bcid = g.loginBCID()
	}
	if g.sessions != nil {
		l.session = g.sessions.secure.name
	}
	if !g.ReportOnly {
		g.login = l
	}
	return nil
}

// person returns whom a token is to be requested for, or the reason why that is nobody who could pass this gate.
func (l *login) person(q *inquiry, repl *caddy.Replacer) (bws.BCID, policy.Reason) {
	if l.bcid == "" {
		return bws.BCID{}, ""
	}
	q.visit.silent = true
	// A separator in a placeholder's value makes too many parts.
	person, err := bws.ParseBCID(repl.ReplaceAll(l.bcid, ""))
	q.visit.silent = false
	switch {
	case err != nil:
		return bws.BCID{}, policy.BCIDNotAllowed
	case l.task.Kind() == bws.TaskIdentify:
		person.Class = 0
		return person, ""
	case !person.IsPerson():
		return bws.BCID{}, policy.BCIDNotAllowed
	case q.demands.Bound && !slices.ContainsFunc(q.demands.Persons, func(p bws.Pattern) bool { return p.Match(person) }):
		return bws.BCID{}, policy.BCIDNotAllowed
	}
	return person, ""
}
