package bwstest

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/caddy-bws/caddy-bws/bws"
)

// The APIs that an application's server calls, with App-ID and App-Secret.

// authenticate reports whether r carries the application's credentials, and refuses it otherwise.
func (s *Service) authenticate(w http.ResponseWriter, r *http.Request) bool {
	id, secret, _ := r.BasicAuth()
	// Both are always compared, so that the time taken does not tell which of them is wrong.
	sameID, sameSecret := equal(id, s.cfg.AppID), equal(secret, s.cfg.AppSecret)
	if sameID && sameSecret {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="BWS"`)
	refuse(w, http.StatusUnauthorized, "Unauthorized")
	return false
}

func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

func (s *Service) serveToken(w http.ResponseWriter, r *http.Request) {
	if !s.authenticate(w, r) {
		return
	}
	query := r.URL.Query()
	switch id := query.Get("id"); {
	case id == "":
		refuse(w, http.StatusBadRequest, "id, the App-ID, is missing")
		return
	case id != s.cfg.AppID:
		refuse(w, http.StatusForbidden, "id is not the App-ID of the credentials")
		return
	}
	spec, err := parseTokenSpec(query)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(s.Token(spec)))
}

func (s *Service) serveResult(w http.ResponseWriter, r *http.Request) {
	if !s.authenticate(w, r) {
		return
	}
	last, err := s.lastResult(r.URL.Query().Get("access_token"))
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, err.Error())
	case last == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		reply(w, http.StatusOK, last)
	}
}

// lastResult returns nil if the operation has not been performed yet.
func (s *Service) lastResult(token string) (*result, error) {
	if token == "" {
		return nil, errors.New("access_token is missing")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	op, err := s.find(token)
	if err != nil {
		return nil, err
	}
	if op.claims.App != s.cfg.AppID {
		return nil, errors.New("the token belongs to another application")
	}
	return op.result, nil
}

func (s *Service) serveStatus(w http.ResponseWriter, r *http.Request) {
	if id, _, ok := r.BasicAuth(); ok && !equal(id, s.cfg.AppID) {
		refuse(w, http.StatusForbidden, "the App-ID is not known here")
		return
	}
	if !s.authenticate(w, r) {
		return
	}
	type feature struct{ Name, Traits, Storage, Partitions string }
	status := struct {
		Version, Label string
		Features       []feature
	}{Version: "2.3", Label: s.cfg.Label}
	for _, name := range []string{"Enrollment", "Verification", "Identification", "LivenessDetection"} {
		partition := strconv.Itoa(int(s.cfg.Partition))
		status.Features = append(status.Features, feature{name, "Face,Periocular", s.cfg.Storage, partition})
	}
	reply(w, http.StatusOK, status)
}

func (s *Service) serveIsEnrolled(w http.ResponseWriter, r *http.Request) {
	person, ok := s.personOf(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	enrolled := slices.Contains(s.enrolled, person)
	s.mu.Unlock()
	if !enrolled {
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *Service) serveDeleteClass(w http.ResponseWriter, r *http.Request) {
	person, ok := s.personOf(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enrolled = slices.DeleteFunc(s.enrolled, func(b bws.BCID) bool { return b == person })
}

// personOf returns whom an authenticated request is about.
func (s *Service) personOf(w http.ResponseWriter, r *http.Request) (person bws.BCID, ok bool) {
	if !s.authenticate(w, r) {
		return bws.BCID{}, false
	}
	person, err := bws.ParseBCID(r.URL.Query().Get("bcid"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "bcid is "+err.Error())
		return bws.BCID{}, false
	}
	return person, true
}
