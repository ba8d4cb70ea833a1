package caddybws

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/explain"
	"github.com/caddy-bws/caddy-bws/internal/policy"
)

// actor plays BWS.
type actor struct {
	*explain.Question
	// busy is closed when a call has come that hangs until free is closed; nil if none is to hang.
	busy, free chan struct{}
}

// RoundTrip answers as BWS would, or fails as the way to it would.
func (a *actor) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	if filepath.Base(r.URL.Path) == "token" {
		return a.token(r)
	}
	switch a.Fault {
	case policy.RejectedToken:
		return reply(r, http.StatusBadRequest, "", ""), nil
	case policy.ServiceMisconfigured:
		return reply(r, http.StatusUnauthorized, "", ""), nil
	case policy.ServiceInvalid:
		return reply(r, http.StatusFound, "", ""), nil
	case policy.ServiceUnavailable:
		return nil, errors.New("a fault of the network is rehearsed")
	case policy.ServiceTimeout:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case policy.InternalError:
		panic("a fault of the gate is rehearsed")
	default:
	}
	if a.Fault == policy.Pending || a.Result == nil {
		return reply(r, http.StatusNoContent, "", ""), nil
	}
	return reply(r, http.StatusOK, "application/json", string(a.Result)), nil
}

// token issues a token, as a login needs it.
func (a *actor) token(r *http.Request) (*http.Response, error) {
	if a.busy != nil {
		close(a.busy)
		<-a.free
	}
	query := r.URL.Query()
	tries, _ := strconv.Atoi(query.Get("maxtries"))
	task := bws.Task(tries) | taskBits[query.Get("task")] //nolint:gosec // at most 15
	for parameter, bit := range map[string]bws.Task{
		"livedetection": bws.TaskLiveDetect, "challenge": bws.TaskChallenge, "autoenroll": bws.TaskAutoEnroll,
	} {
		if query.Get(parameter) == "true" {
			task |= bit
		}
	}
	claims := map[string]any{
		"app": query.Get("id"), "task": task, "iss": "BWS", "nbf": a.Now.Unix(), "exp": a.Now.Add(10 * time.Minute).Unix(),
	}
	if person := query.Get("bcid"); person != "" {
		claims["bcid"] = person
	}
	return reply(r, http.StatusOK, "text/plain", mint(claims)), nil
}

func reply(r *http.Request, status int, contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {contentType}}, Request: r,
		Body: io.NopCloser(bytes.NewReader([]byte(body))),
	}
}

// brokenStorage fails, whatever it is asked for.
type brokenStorage struct{ certmagic.Storage }

var errBroken = errors.New("a fault of the storage is rehearsed")

// Store fails.
func (brokenStorage) Store(context.Context, string, []byte) error { return errBroken }

// Load fails.
func (brokenStorage) Load(context.Context, string) ([]byte, error) { return nil, errBroken }

// List fails.
func (brokenStorage) List(context.Context, string, bool) ([]string, error) { return nil, errBroken }

// Delete fails.
func (brokenStorage) Delete(context.Context, string) error { return errBroken }

// Lock fails.
func (brokenStorage) Lock(context.Context, string) error { return errBroken }

// Unlock fails.
func (brokenStorage) Unlock(context.Context, string) error { return errBroken }

// Interface guards
var (
	_ http.RoundTripper = (*actor)(nil)
	_ certmagic.Storage = brokenStorage{}
)
