package verifier

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

const (
	token   = "the.secret.token"
	secret  = "the-app-secret"
	success = `{"Action":"verification","BCID":"bioid/9876/12345","Success":true}`
)

var (
	start  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	claims = bws.UnverifiedClaims{Task: bws.TaskVerify | bws.TaskLiveDetect, NotBefore: start, Expires: start.Add(10 * time.Minute)}
)

// service answers every request the same way.
type service struct {
	status int
	body   string
	err    error
}

func (s service) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if s.err != nil {
		return nil, s.err
	}
	return &http.Response{
		StatusCode: s.status,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(s.body)),
	}, nil
}

// newVerifier returns a verifier for a service, and the log it writes. The time is what now points to.
func newVerifier(t *testing.T, s service, now *time.Time) (*Verifier, *observer.ObservedLogs) {
	t.Helper()
	client, err := bws.NewClient(bws.Config{AppID: "app", AppSecret: secret, Transport: s})
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	return New(client, zap.New(core), func() time.Time { return *now }), logs
}

func TestVerify(t *testing.T) {
	now := start.Add(time.Minute)
	v, logs := newVerifier(t, service{status: http.StatusOK, body: success}, &now)
	got := v.Verify(t.Context(), token, &claims)
	want := evidence.Evidence{
		Outcome:    evidence.Answered,
		Source:     evidence.FromService,
		Task:       claims.Task,
		NotBefore:  claims.NotBefore,
		Expires:    claims.Expires,
		Success:    true,
		Action:     bws.Verification,
		BCID:       bws.BCID{Storage: "bioid", Partition: 9876, Class: 12345},
		AnsweredAt: now,
	}
	if *got != want {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
	if logs.Len() > 0 {
		t.Errorf("a success is logged: %+v", logs.All())
	}
}

func TestFaults(t *testing.T) {
	const quiet = zapcore.InvalidLevel // nothing is logged
	// What net/http reports quotes the URL, and the service may quote what it was sent.
	quoting := errors.New("Get https://app:" + secret + "@bws.example/result?access_token=" + token)
	message := `{"Message":"` + token + " " + secret + `"}`

	for name, test := range map[string]struct {
		service service
		want    evidence.Outcome
		level   zapcore.Level
	}{
		"204":                 {service{status: http.StatusNoContent}, evidence.Pending, quiet},
		"400":                 {service{status: http.StatusBadRequest, body: message}, evidence.Rejected, quiet},
		"401":                 {service{status: http.StatusUnauthorized, body: message}, evidence.Misconfigured, zap.ErrorLevel},
		"403":                 {service{status: http.StatusForbidden, body: message}, evidence.Misconfigured, zap.ErrorLevel},
		"429":                 {service{status: http.StatusTooManyRequests, body: message}, evidence.Unavailable, zap.WarnLevel},
		"500":                 {service{status: http.StatusInternalServerError, body: message}, evidence.Unavailable, zap.WarnLevel},
		"503":                 {service{status: http.StatusServiceUnavailable, body: message}, evidence.Unavailable, zap.WarnLevel},
		"network":             {service{err: quoting}, evidence.Unavailable, zap.WarnLevel},
		"redirect":            {service{status: http.StatusFound, body: message}, evidence.Invalid, zap.WarnLevel},
		"partial content":     {service{status: http.StatusPartialContent, body: success}, evidence.Invalid, zap.WarnLevel},
		"404":                 {service{status: http.StatusNotFound, body: message}, evidence.Invalid, zap.WarnLevel},
		"not JSON":            {service{status: http.StatusOK, body: token}, evidence.Invalid, zap.WarnLevel},
		"empty":               {service{status: http.StatusOK}, evidence.Invalid, zap.WarnLevel},
		"two results":         {service{status: http.StatusOK, body: success + success}, evidence.Invalid, zap.WarnLevel},
		"success and failure": {service{status: http.StatusOK, body: `{"Success":true,"Success":false}`}, evidence.Invalid, zap.WarnLevel},
	} {
		t.Run(name, func(t *testing.T) {
			now := start
			v, logs := newVerifier(t, test.service, &now)
			got := v.Verify(t.Context(), token, &claims)
			if want := evidence.OfClaims(test.want, &claims); *got != *want {
				t.Errorf("got  %+v\nwant %+v", *got, *want)
			}
			checkLog(t, logs, test.level)
		})
	}
}

// checkLog checks that there is one line of the level, none if it is invalid, and nothing secret in it.
func checkLog(t *testing.T, logs *observer.ObservedLogs, level zapcore.Level) {
	t.Helper()
	lines := logs.All()
	if level == zapcore.InvalidLevel {
		if len(lines) > 0 {
			t.Errorf("the log has %+v, want nothing", lines)
		}
		return
	}
	if len(lines) != 1 || lines[0].Level != level {
		t.Errorf("the log has %+v, want one line of level %s", lines, level)
	}
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	for _, line := range lines {
		text, err := encoder.EncodeEntry(line.Entry, line.Context)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), token) || strings.Contains(text.String(), secret) {
			t.Errorf("the log says %s", text)
		}
	}
}

func TestDeadline(t *testing.T) {
	now := start
	v, logs := newVerifier(t, service{status: http.StatusOK, body: success}, &now)
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if got := v.Verify(ctx, token, &claims); got.Outcome != evidence.TimedOut {
		t.Errorf("got %+v, want a timeout", got)
	}
	checkLog(t, logs, zap.WarnLevel)
}

// Whoever goes away before there is an answer is no fault of the service.
func TestCallerGoesAway(t *testing.T) {
	now := start
	v, logs := newVerifier(t, service{status: http.StatusOK, body: success}, &now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := v.Verify(ctx, token, &claims); got.Outcome != evidence.Unavailable {
		t.Errorf("got %+v, want no answer", got)
	}
	checkLog(t, logs, zapcore.InvalidLevel)
}

func TestRefusedCredentialsAreLoggedOnceAMinute(t *testing.T) {
	now := start
	v, logs := newVerifier(t, service{status: http.StatusUnauthorized}, &now)
	for _, step := range []struct {
		at   time.Duration
		want int
	}{
		{0, 1},
		{1, 0},
		{complaintInterval - 1, 0},
		{complaintInterval, 1},
		{2*complaintInterval - 1, 0},
		{time.Hour, 1},
	} {
		now = start.Add(step.at)
		for range 3 {
			if got := v.Verify(t.Context(), token, &claims); got.Outcome != evidence.Misconfigured {
				t.Fatalf("got %+v, want refused credentials", got)
			}
		}
		if lines := logs.TakeAll(); len(lines) != step.want {
			t.Errorf("after %s: %d lines, want %d", step.at, len(lines), step.want)
		}
	}
}

func TestManyRequestsComplainOnce(t *testing.T) {
	now := start
	v, logs := newVerifier(t, service{status: http.StatusForbidden}, &now)
	var requests sync.WaitGroup
	for range 32 {
		requests.Go(func() { v.Verify(t.Context(), token, &claims) })
	}
	requests.Wait()
	checkLog(t, logs, zap.ErrorLevel)
}
