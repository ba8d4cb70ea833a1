package bwstest

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bws/caddy-bws/bws"
)

// The APIs that a browser or an app calls, with the BWS token.

// maxSampleBytes bounds an upload. An image of a camera, as a data URL, has a few hundred kilobytes.
const maxSampleBytes = 10 << 20

// bearer returns the token of r, which comes with either scheme (documented).
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "JWT") {
		return token
	}
	return ""
}

// withOperation calls f for the operation of r's token, under the lock, and refuses r if there is none or f fails.
func (s *Service) withOperation(w http.ResponseWriter, r *http.Request, f func(*operation) error) (done bool) {
	s.mu.Lock()
	op, err := s.find(bearer(r))
	if err == nil {
		err = f(op)
	}
	s.mu.Unlock()
	if err == nil {
		return true
	}
	if no, ok := errors.AsType[*taskError](err); ok {
		refuse(w, no.status, no.message)
		return false
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="BWS"`)
	refuse(w, http.StatusUnauthorized, err.Error())
	return false
}

// taskError says why an operation cannot be performed with a valid token.
type taskError struct {
	status  int
	message string
}

func (e *taskError) Error() string { return e.message }

// Status 403 is documented for tries used up in live detection, and inferred for the rest.
var (
	errWrongTask = &taskError{http.StatusForbidden, "the token is for another task"}
	errNoTries   = &taskError{http.StatusForbidden, "the tries of the token are used up"}
	errNoSamples = &taskError{http.StatusBadRequest, "no samples have been uploaded"}
)

func (s *Service) serveUpload(w http.ResponseWriter, r *http.Request) {
	// First check the token, so that nobody without one can send ten megabytes. It is checked again when the sample counts.
	if !s.withOperation(w, r, func(*operation) error { return nil }) {
		return
	}
	if err := checkSampleParameters(r.URL.Query()); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSampleBytes))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		refuse(w, http.StatusRequestEntityTooLarge, "the sample is too large")
		return
	}
	if err != nil || !isImage(body) {
		refuse(w, http.StatusBadRequest, "the sample is not an image as a data URL")
		return
	}
	accepted := s.withOperation(w, r, func(op *operation) error {
		op.samples++
		return nil
	})
	if accepted {
		reply(w, http.StatusOK, struct {
			Accepted bool
			Warnings []string
		}{true, []string{}})
	}
}

// checkSampleParameters accepts what is documented, all of it optional.
func checkSampleParameters(query url.Values) error {
	if tags := query.Get("tag"); tags != "" && tags != "any" {
		for tag := range strings.SplitSeq(tags, ",") {
			if !slices.Contains(directions, strings.TrimSpace(tag)) {
				return errors.New("tag is neither any nor of up, left, down, right")
			}
		}
	}
	if index := query.Get("index"); index != "" {
		if n, err := strconv.Atoi(index); err != nil || n < 1 {
			return errors.New("index is not a positive number")
		}
	}
	if trait := query.Get("trait"); trait != "" {
		_, err := parseTraits("trait", trait)
		return err
	}
	return nil
}

// isImage reports whether body is an image as a data URL, bare or as a JSON string. The declared type of the body does not
// matter: clients send the same bytes as plain text or, being jQuery, as a form (observed).
func isImage(body []byte) bool {
	text := strings.TrimSpace(string(body))
	if strings.HasPrefix(text, `"`) && json.Unmarshal([]byte(text), &text) != nil {
		return false
	}
	head, data, _ := strings.Cut(text, ",")
	if !strings.HasPrefix(head, "data:image/") || !strings.HasSuffix(head, ";base64") {
		return false
	}
	sample, err := base64.StdEncoding.DecodeString(data)
	return err == nil && strings.HasPrefix(http.DetectContentType(sample), "image/")
}

// taskResult is the body of a task API.
type taskResult struct {
	Success bool
	Error   bws.ErrorCode `json:",omitzero"`
	Matches []taskMatch   `json:",omitzero"`
}

// taskMatch is a candidate in a taskResult, which has another form than on /result (documented).
type taskMatch struct {
	Score     float64
	Storage   string
	Partition int32
	ClassID   int32
}

// serveTask performs operations of one kind.
func serveTask(kind bws.Task) func(*Service, http.ResponseWriter, *http.Request) {
	return func(s *Service, w http.ResponseWriter, r *http.Request) {
		var body taskResult
		done := s.withOperation(w, r, func(op *operation) (err error) {
			body, err = s.perform(op, kind)
			return err
		})
		if done {
			reply(w, http.StatusOK, body)
		}
	}
}

// perform takes the samples of op, counts a try, and logs the result.
func (s *Service) perform(op *operation, kind bws.Task) (taskResult, error) {
	switch {
	case op.claims.Task.Kind() != kind:
		return taskResult{}, errWrongTask
	case op.tries >= op.claims.Task.Tries():
		return taskResult{}, errNoTries
	case op.samples == 0:
		return taskResult{}, errNoSamples
	}
	op.samples = 0
	op.tries++
	o, chosen := s.dequeue(op)
	if !chosen {
		o = s.outcome(op)
	}
	last := s.conclude(op, o)
	body := taskResult{Success: last.Success, Error: last.Error}
	for _, m := range last.Matches {
		body.Matches = append(body.Matches, taskMatch{m.Score, m.person.Storage, m.person.Partition, m.person.Class})
	}
	return body, nil
}
