package caddybws

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/loopback"
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

// Login has a browser that lacks evidence perform the biometric operation: it is sent to the capture page with a token that the
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

	// The capture page: an https URL, or http for a loopback address. Supports global placeholders. Default:
	// `https://www.bioid.com/bws/performtask`.
	UI string `json:"ui,omitempty"`
}

func (g *Gate) checkLogin() error {
	l := g.Login
	if l == nil {
		return nil
	}
	if l.MaxTries != 0 {
		if err := checkCount("login: max_tries", l.MaxTries, maxMaxTries); err != nil {
			return err
		}
	}
	return firstError(l.checkTask, l.checkBCID, l.checkUI)
}

func (l *Login) checkTask() error {
	switch l.Task {
	case "", taskVerify, taskIdentify, taskLiveness:
		return nil
	case taskEnroll:
		return errors.New("login: task: a login never enrolls, since whoever gets the token becomes whom it names; use " + knownTasks)
	}
	return fmt.Errorf("login: task: unknown value %q: use %s", l.Task, knownTasks)
}

func (l *Login) checkBCID() error {
	if l.BCID == "" {
		return nil
	}
	parts, balanced := splitTemplate(l.BCID)
	switch {
	case !balanced:
		return fmt.Errorf("login: bcid %q: %w", l.BCID, errUnbalanced)
	case slices.Contains(parts, "*"):
		return fmt.Errorf("login: bcid %q: a token is for one person, and * is not one; write a value or a placeholder instead", l.BCID)
	case isOnePlaceholder(l.BCID):
		return nil
	case len(parts) != 3:
		return fmt.Errorf("login: bcid %q: write storage/partition/class, or one placeholder alone", l.BCID)
	}
	if _, err := bws.ParseBCID(strings.Join(sampleOf(parts), "/")); err != nil {
		return fmt.Errorf("login: bcid %q: write storage/partition/class: letters, digits and _, then 32-bit numbers without leading zeros",
			l.BCID)
	}
	return nil
}

func (l *Login) checkUI() error {
	if l.UI == "" || hasPlaceholder(l.UI) {
		return nil
	}
	_, err := parseUI(l.UI)
	return err
}

// parseUI accepts what a token may be sent to.
func parseUI(ui string) (*url.URL, error) {
	u, err := url.Parse(ui)
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		return nil, errors.New("login: ui: not a URL with a scheme and a host; write one such as " + defaultUI)
	}
	switch {
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("login: ui: neither credentials nor a fragment belong in the URL; remove them")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback.Is(u.Hostname())):
		return nil, errors.New("login: ui: use https, since the token is sent there; http is for loopback addresses only")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// tasksOf are the tasks that lead to an action.
var tasksOf = map[bws.Action]string{
	bws.Verification:   taskVerify,
	bws.Identification: taskIdentify,
	bws.LiveDetection:  taskLiveness,
}

// checkLoginTogether finds what a login does not go together with, once all options are known.
func (g *Gate) checkLoginTogether() error {
	if g.Login == nil {
		return nil
	}
	task := g.loginTask()
	leads := func(action bws.Action) bool { return tasksOf[action] == task }
	switch {
	case slices.Equal(g.actions(), []bws.Action{bws.Enrollment}):
		return errors.New("login: a login never enrolls, and enrollment is all that is allowed; remove login, or change allow")
	case task == "":
		return errors.New("login: task is required where several actions are allowed; use " + knownTasks)
	case !slices.ContainsFunc(g.actions(), leads):
		return fmt.Errorf("login: task: %s leads to none of the allowed actions; change task, or allow", task)
	}
	return g.checkLoginPerson(task)
}

func (g *Gate) checkLoginPerson(task string) error {
	person := g.loginBCID()
	switch {
	case task == taskLiveness && g.Login.BCID != "":
		return errors.New("login: bcid: livenessdetection proves nobody's identity; remove bcid, or change task")
	case task == taskLiveness:
		return nil
	case person == "":
		return errors.New("login: bcid is required, unless the gate's bcid is one pattern without *; name whom the token is for")
	}
	if parts, _ := splitTemplate(person); task == taskVerify && len(parts) == 3 && parts[2] == "0" {
		return fmt.Errorf("login: bcid %q: class 0 is nobody to verify; write another class, or change task", person)
	}
	return nil
}

func (g *Gate) loginTask() string {
	if g.Login.Task == "" && len(g.actions()) == 1 {
		return tasksOf[g.actions()[0]]
	}
	return g.Login.Task
}

func (g *Gate) loginBCID() string {
	if g.Login.BCID == "" && len(g.BCID) == 1 && !strings.Contains(g.BCID[0], "*") {
		return g.BCID[0]
	}
	return g.Login.BCID
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
