package bwstest

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bws/caddy-bws/bws"
)

// maxChoiceBytes bounds the body of /emulator/outcome.
const maxChoiceBytes = 64 << 10

// choice is the body of /emulator/outcome.
type choice struct {
	// Token or BCID, exactly one of them, says whose next operation it is.
	Token string `json:"token"`
	BCID  string `json:"bcid"`
	// Success is required.
	Success *bool         `json:"success"`
	Error   bws.ErrorCode `json:"error"`
	Matches []chosenMatch `json:"matches"`
}

type chosenMatch struct {
	BCID  string  `json:"bcid"`
	Score float64 `json:"score"`
}

// serveOutcome chooses how the next operation with a token, or about a person, ends. It is the emulator's own and no part of
// BWS: anyone who can reach it decides. For example, with curl:
//
//	curl --json '{"bcid":"bws/1/42","success":false,"error":"LiveDetectionFailed"}' http://localhost:9080/extension/emulator/outcome
//
// It answers 204, or an error with a message. Only JSON, declared as such, is accepted: that keeps pages of other origins out,
// which can send forms without being asked.
func (s *Service) serveOutcome(w http.ResponseWriter, r *http.Request) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "the body is JSON, with Content-Type: application/json")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxChoiceBytes))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "the body is too large")
		return
	}
	if err := s.choose(body); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// choose makes the outcome that the body describes the next one.
func (s *Service) choose(body []byte) error {
	var c choice
	if err := json.Unmarshal(body, &c, json.RejectUnknownMembers(true)); err != nil {
		return errors.New(`the body is not JSON with "token" or "bcid", "success", and optionally "error" and "matches"`)
	}
	o, err := c.outcome()
	if err != nil {
		return err
	}
	if (c.Token == "") == (c.BCID == "") {
		return errors.New(`either "token" or "bcid" says whose operation it is`)
	}
	next := pending{outcome: o}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Token != "" {
		op, err := s.find(c.Token)
		if err != nil {
			return err
		}
		next.token = op.key
	} else {
		person, err := bws.ParseBCID(c.BCID)
		if err != nil {
			return errors.New(`"bcid" is ` + err.Error())
		}
		next.person = person
	}
	s.enqueue(next)
	return nil
}

// outcome returns the outcome that c describes.
func (c *choice) outcome() (Outcome, error) {
	if c.Success == nil {
		return Outcome{}, errors.New(`"success" is missing`)
	}
	o := Outcome{Success: *c.Success, Error: c.Error}
	if c.Matches != nil {
		o.Matches = make([]bws.Match, len(c.Matches))
	}
	for i, m := range c.Matches {
		candidate, err := bws.ParseBCID(m.BCID)
		if err != nil {
			return Outcome{}, errors.New(`"bcid" of a match is ` + err.Error())
		}
		o.Matches[i] = bws.Match{BCID: candidate, Score: m.Score}
	}
	return o, nil
}
