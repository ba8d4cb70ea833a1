package caddybws

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/loopback"
)

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
