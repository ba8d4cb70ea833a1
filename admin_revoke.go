package caddybws

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/adminapi"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
	"github.com/caddy-bws/caddy-bws/internal/ledger"
	"github.com/caddy-bws/caddy-bws/internal/session"
	"github.com/caddy-bws/caddy-bws/internal/verifier"
)

// revocation is what is to be revoked: exactly one of its members.
type revocation struct {
	Session string `json:"session"`
	Token   string `json:"token"`
	BCID    string `json:"bcid"`
	Service string `json:"service"`
}

func (a *Admin) revoke(w http.ResponseWriter, r *http.Request) error {
	var asked revocation
	if err := readBody(w, r, &asked); err != nil {
		return err
	}
	kind, subject, err := asked.subject()
	if err != nil {
		return err
	}
	services, err := selected(asked.Service)
	if err != nil {
		return err
	}
	ctx := context.WithoutCancel(r.Context()) // also if the client does not wait for it
	var names, failed []string
	for _, s := range services {
		names = append(names, s.name)
		if asked.Token != "" {
			s.verifier.Forget(verifier.KeyOf(strings.TrimSpace(asked.Token)))
		}
		if err := s.ledger.Revoke(ctx, subject); err != nil {
			a.logger.Warn("a revocation cannot be stored", zap.String("service", s.name), zap.Error(err))
			failed = append(failed, s.name)
		}
	}
	if len(failed) > 0 {
		return apiError(http.StatusServiceUnavailable, "not stored for the services %s, so that other nodes do not know of it; "+
			"the log says why; try again", strings.Join(failed, ", "))
	}
	a.logger.Info("revoked", zap.String("kind", kind), zap.Strings("services", names))
	return writeBody(w, http.StatusOK, map[string]any{"revoked": kind, "services": names})
}

// subject returns what is to be revoked, of which there must be one.
func (v *revocation) subject() (kind string, subject ledger.Subject, err error) {
	given := 0
	for _, value := range []string{v.Session, v.Token, v.BCID, v.Service} {
		if value != "" {
			given++
		}
	}
	if given != 1 {
		return "", subject, apiError(http.StatusBadRequest, "give one of session, token, bcid and service")
	}
	switch {
	case v.Session != "":
		subject, err = sessionSubject(v.Session)
		return "session", subject, err
	case v.Token != "":
		key := verifier.KeyOf(strings.TrimSpace(v.Token))
		return "token", ledger.OfSession(session.IDOf(key)), nil
	case v.BCID != "":
		person, err := bws.ParseBCID(v.BCID)
		if err != nil || !person.IsPerson() {
			return "", subject, apiError(http.StatusBadRequest, "bcid: write one person as storage/partition/class")
		}
		return "bcid", ledger.OfPerson(evidence.PersonOf(person)), nil
	}
	return "service", ledger.OfService(), nil
}

func sessionSubject(id string) (ledger.Subject, error) {
	decoded, err := hex.DecodeString(id)
	if err != nil || len(decoded) != len(session.ID{}) {
		return ledger.Subject{}, apiError(http.StatusBadRequest, "session: write its id, %d hexadecimal digits", 2*len(session.ID{}))
	}
	return ledger.OfSession(session.ID(decoded)), nil
}

func (a *Admin) rotate(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Service string `json:"service"`
	}
	if r.ContentLength != 0 {
		if err := readBody(w, r, &asked); err != nil {
			return err
		}
	}
	services, err := selected(asked.Service)
	if err != nil {
		return err
	}
	purposes := ledger.Purposes()
	keys := make([]adminapi.Rotated, 0, len(services)*len(purposes))
	for _, s := range services {
		for _, purpose := range purposes {
			key, err := s.rotate(r.Context(), purpose)
			if err != nil {
				return err
			}
			keys = append(keys, adminapi.Rotated{
				Service: s.name, ID: key.ID.String(), Purpose: purpose.Name, UseFrom: key.UseFrom,
			})
		}
	}
	return writeBody(w, http.StatusOK, keys)
}

func (s *namedService) rotate(ctx context.Context, purpose ledger.Purpose) (*ledger.Key, error) {
	key, err := s.ledger.Keys(purpose).Rotate(ctx)
	switch {
	case errors.Is(err, ledger.ErrTooManyKeys):
		return nil, apiError(http.StatusConflict, "service %s: there are too many keys; those that have ended go by themselves", s.name)
	case err != nil:
		return nil, caddy.APIError{
			HTTPStatus: http.StatusServiceUnavailable, Err: err, Message: "service " + s.name + ": the key cannot be stored; try again",
		}
	}
	return key, nil
}

func (a *Admin) forget(w http.ResponseWriter, _ *http.Request) error {
	for _, s := range running() {
		s.verifier.ForgetAll()
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
