package bws

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// TokenRequest says which operation a token is wanted for.
type TokenRequest struct {
	// BCID is whom the operation is about: a person, or a partition (class 0) for an identification. Zero for a liveness
	// detection, which is about nobody.
	BCID BCID
	// Task is the operation, how often it may be tried, and its conditions, such as TaskVerify|TaskLiveDetect|3.
	Task Task
}

// taskNames are the values of the parameter "task" (documented).
var taskNames = map[Task]string{
	TaskVerify:   "verify",
	TaskIdentify: "identify",
	TaskEnroll:   "enroll",
	TaskLiveOnly: "livenessdetection",
}

// Token asks the service for a token, which is good for about ten minutes (documented). Whoever holds the token may perform the
// operation: give it to the person it is about, and to nobody else.
// A request that makes no sense is refused without asking the service. Any other error is an [*Error]; if the service refuses
// the parameters with status 400, its kind is [ErrInvalidResponse], since [ErrTokenRejected] is about a token that was presented.
func (c *Client) Token(ctx context.Context, req TokenRequest) (string, error) {
	query, err := req.query()
	if err != nil {
		return "", err
	}
	query.Set("id", c.appID)
	body, err := c.get(ctx, apiToken, acceptText, query)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(body))
	if n := len(token); n >= 2 && token[0] == '"' && token[n-1] == '"' {
		token = token[1 : n-1]
	}
	if _, err := ParseToken(token); err != nil {
		return "", invalidResponse(apiToken, "the body is not a well-formed token")
	}
	return token, nil
}

// query returns the parameters that say all of r, also where they are what the service would assume.
func (r TokenRequest) query() (url.Values, error) {
	const known = TaskKindMask | TaskTriesMask | TaskLiveDetect | TaskChallenge | TaskAutoEnroll
	name, ok := taskNames[r.Task.Kind()]
	if !ok || r.Task&^known != 0 {
		return nil, errors.New("bws token: the task is not one the service documents, combine one kind with tries and conditions")
	}
	query := url.Values{
		"task":          {name},
		"maxtries":      {strconv.Itoa(r.Task.Tries())},
		"livedetection": {strconv.FormatBool(r.Task.LiveDetection())},
		"challenge":     {strconv.FormatBool(r.Task.Challenge())},
		"autoenroll":    {strconv.FormatBool(r.Task.AutoEnroll())},
	}
	switch r.Task.Kind() {
	case TaskLiveOnly:
		if !r.BCID.IsZero() {
			return nil, errors.New("bws token: a liveness detection is about nobody, leave out the BCID")
		}
		return query, nil
	case TaskIdentify:
		ok = isStorage(r.BCID.Storage)
	default:
		ok = isStorage(r.BCID.Storage) && r.BCID.IsPerson()
	}
	if !ok {
		return nil, errors.New("bws token: the BCID is missing or not one for this task, give a person or, to identify, a partition")
	}
	query.Set("bcid", r.BCID.String())
	return query, nil
}
