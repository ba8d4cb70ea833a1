package integration

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

var (
	alice = bws.BCID{Storage: "bioid", Partition: 9876, Class: 12345}
	bob   = bws.BCID{Storage: "bioid", Partition: 9876, Class: 12346}
)

// success is the outcome of an operation that succeeds.
var success = bwstest.Outcome{Success: true}

// performed is a token with which operations were performed, the last of which counts. Without any, it is pending.
func performed(s *bwstest.Service, spec bwstest.TokenSpec, outcomes ...bwstest.Outcome) string {
	token := s.Token(spec)
	for _, outcome := range outcomes {
		s.Perform(token, outcome)
	}
	return token
}

// goodOf is a token with which a person has been verified.
func goodOf(s *bwstest.Service, person bws.BCID) string {
	return performed(s, bwstest.TokenSpec{BCID: person}, success)
}

// goodToken is a token with which Alice has been verified.
func goodToken(s *bwstest.Server) string { return goodOf(s.Service, alice) }

// presenting puts a token into the header.
func presenting(token func(*bwstest.Server) string) func(*bwstest.Server) []string {
	return func(s *bwstest.Server) []string { return []string{"X-BWS-Token: " + token(s)} }
}

// good is a token with which Alice has been verified, in the header.
var good = presenting(goodToken)

// tokenOf is [performed], in the header.
func tokenOf(spec bwstest.TokenSpec, outcomes ...bwstest.Outcome) func(*bwstest.Server) []string {
	return presenting(func(s *bwstest.Server) string { return performed(s.Service, spec, outcomes...) })
}

// failing is a token of Alice's with which an operation has failed.
func failing(code bws.ErrorCode) func(*bwstest.Server) []string {
	return tokenOf(bwstest.TokenSpec{BCID: alice}, bwstest.Outcome{Error: code})
}

// answered is a good token about which BWS says something else than its result.
func answered(answers ...bwstest.Answer) func(*bwstest.Server) []string {
	return func(s *bwstest.Server) []string {
		s.Script("/result", answers...)
		return good(s)
	}
}

// found is a token with which a search has found matches with these scores.
func found(scores ...float64) func(*bwstest.Server) []string {
	matches := make([]bws.Match, len(scores))
	for i, score := range scores {
		matches[i] = bws.Match{BCID: bws.BCID{Storage: "bioid", Partition: 9876, Class: int32(i + 1)}, Score: score}
	}
	partition := bws.BCID{Storage: "bioid", Partition: 9876}
	return tokenOf(bwstest.TokenSpec{BCID: partition, Task: bws.TaskIdentify | bws.TaskLiveDetect},
		bwstest.Outcome{Success: true, Matches: matches})
}

// invented is a well-formed token that BWS has not issued.
func invented() string { return bwstest.New(bwstest.Config{}).Token(bwstest.TokenSpec{BCID: alice}) }

// split takes a token apart.
func split(token string) (header, payload, signature string) {
	parts := strings.Split(token, ".")
	return parts[0], parts[1], parts[2]
}

// bare is the token in a header.
func bare(header string) string {
	_, token, _ := strings.Cut(header, ": ")
	return token
}

// hashOf is what stands for a token in the ledger.
func hashOf(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// sessionID is the id of the session that a token begins.
func sessionID(token string) string {
	hash := hashOf(token)
	return hex.EncodeToString(hash[:16])
}

// begin returns the session that a token begins, as a header.
func begin(t *testing.T, url string, token []string) string {
	t.Helper()
	cookies := do(t, http.MethodGet, url, token...).Cookies()
	if len(cookies) != 1 {
		t.Fatalf("got %d cookies", len(cookies))
	}
	return "Cookie: " + cookies[0].Name + "=" + cookies[0].Value
}

// basicAuth is what follows "Basic " in an Authorization header.
func basicAuth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}
