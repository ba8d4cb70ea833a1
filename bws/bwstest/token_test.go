package bwstest_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// claimsOf returns header and payload of a token, unverified.
func claimsOf(t *testing.T, token string) (header, payload map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts", len(parts))
	}
	for i, target := range []*map[string]any{&header, &payload} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, target); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

func TestTokenClaims(t *testing.T) {
	clock := newClock()
	now := float64(clock.Now().Unix())
	s := bwstest.New(bwstest.Config{AppID: "id", AppSecret: "secret", Now: clock.Now})
	header, claims := claimsOf(t, s.Token(bwstest.TokenSpec{BCID: alice}))

	if want := map[string]any{"alg": "HS256", "typ": "JWT"}; !maps.Equal(header, want) {
		t.Errorf("header %v, want %v", header, want)
	}
	want := map[string]any{
		"app": "id", "bcid": "bws/1/42", "task": 259.0, "traits": 3.0, "iss": "BWS",
		"nbf": now, "iat": now, "exp": now + 600,
	}
	for name, value := range want {
		if claims[name] != value {
			t.Errorf("claim %s is %v, want %v", name, claims[name], value)
		}
	}
	names := slices.Sorted(maps.Keys(claims))
	if all := []string{"app", "aud", "bcid", "clnt", "exp", "iat", "iss", "nbf", "task", "tokenid", "traits"}; !slices.Equal(names, all) {
		t.Errorf("claims %v, want %v", names, all)
	}
	if _, again := claimsOf(t, s.Token(bwstest.TokenSpec{BCID: alice})); again["tokenid"] == claims["tokenid"] {
		t.Error("two tokens have the same id")
	}
}

func TestTokenTask(t *testing.T) {
	tests := []struct {
		query     string
		task      bws.Task
		traits    float64
		challenge string
	}{
		{"bcid=bws/1/42", 259, 3, ""},
		{"bcid=bws/1/42&task=verify&maxtries=5&livedetection=False", bws.TaskVerify | 5, 3, ""},
		{"bcid=bws/1/42&task=enroll", 291, 3, ""},
		{"bcid=bws/1/0&task=identify&maxtries=15", bws.TaskIdentify | bws.TaskLiveDetect | 15, 3, ""},
		{"task=livenessdetection", bws.TaskLiveOnly | 3, 3, ""},
		{"bcid=bws/1/42&autoenroll=TRUE&traits=FACE", 259 | bws.TaskAutoEnroll, 1, ""},
		{"bcid=bws/1/42&traits=Periocular,+voice", 259, 6, ""},
		{"bcid=bws/1/42&challenge=true&maxtries=2", bws.TaskLiveDetect | bws.TaskChallenge | 2, 3, `[["up","down"],["left","right"]]`},
		{"bcid=bws/1/42&challenge=true&challenges=" + url.QueryEscape(`[["left","up"]]`), 259 | bws.TaskChallenge, 3, `[["left","up"]]`},
		{"bcid=bws/1/42&challenge=true&livedetection=false", 3, 3, ""},
		{"task=livenessdetection&challenge=true&maxtries=1", bws.TaskLiveOnly | bws.TaskChallenge | 1, 3, `[["up","down"]]`},
	}
	s := bwstest.New(bwstest.Config{})
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			w := get("/token?id="+bwstest.AppID+"&"+tt.query, "app").send(s)
			if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
				t.Fatalf("status %d as %s: %q", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
			_, claims := claimsOf(t, w.Body.String())
			if claims["task"] != float64(tt.task) || claims["traits"] != tt.traits {
				t.Errorf("task %v with traits %v, want %v with %v", claims["task"], claims["traits"], tt.task, tt.traits)
			}
			if challenge, _ := claims["challenge"].(string); challenge != tt.challenge {
				t.Errorf("challenge %q, want %q", challenge, tt.challenge)
			}
		})
	}
}

// A minted token works exactly as far as its claims allow.
func TestMint(t *testing.T) {
	clock := newClock()
	now := clock.Now().Unix()
	s := bwstest.New(bwstest.Config{Now: clock.Now})
	old := map[string]any{
		"tokenid": "1", "clnt": "c", "app": bwstest.AppID, "task": 259, "bcid": "bws.1.42", "nbf": now, "exp": now + 60,
	}
	with := func(name string, value any) map[string]any {
		claims := maps.Clone(old)
		claims[name] = value
		return claims
	}
	without := func(name string) map[string]any {
		claims := maps.Clone(old)
		delete(claims, name)
		return claims
	}
	tests := []struct {
		name   string
		claims map[string]any
		status int
	}{
		{"as of 2015, without traits and iat", old, 204},
		{"expired", with("exp", now), 400},
		{"not yet valid", with("nbf", now+1), 400},
		{"of another application", with("app", "other"), 400},
		{"of no application", without("app"), 400},
		{"without end", without("exp"), 400},
		{"about nobody", without("bcid"), 204},
		{"about rubbish", with("bcid", "rubbish"), 400},
		{"with a task that is no number", with("task", "259"), 400},
		{"with more than is known", with("jti", "x"), 204},
		{"without claims", nil, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := s.Mint(tt.claims)
			if status, body := last(s, token); status != tt.status {
				t.Errorf("status %d, want %d: %s", status, tt.status, body)
			}
		})
	}

	token := s.Mint(old)
	s.Perform(token, bwstest.Outcome{Success: true})
	if _, body := last(s, token); body != `{"Action":"verification","BCID":"bws/1/42","Success":true}` {
		t.Errorf("a minted token got the result %s", body)
	}
}

func TestForgedTokens(t *testing.T) {
	s := bwstest.New(bwstest.Config{})
	token := s.Token(bwstest.TokenSpec{BCID: alice})
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	_, foreign := claimsOf(t, token)
	foreign["bcid"] = "bws/1/43"
	edited, err := json.Marshal(foreign)
	if err != nil {
		t.Fatal(err)
	}
	for name, forged := range map[string]string{
		"without algorithm": none + "." + payload + ".",
		"without signature": header + "." + payload + ".",
		"edited":            header + "." + base64.RawURLEncoding.EncodeToString(edited) + "." + signature,
		"with a fourth":     token + "." + signature,
		"with white space":  token + " ",
	} {
		if status, _ := last(s, forged); status != 400 {
			t.Errorf("a token %s got status %d, want 400", name, status)
		}
	}
}

func TestTokenSpecTimes(t *testing.T) {
	clock := newClock()
	start := clock.Now().Add(-30 * time.Second)
	s := bwstest.New(bwstest.Config{Now: clock.Now})
	_, claims := claimsOf(t, s.Token(bwstest.TokenSpec{BCID: alice, NotBefore: start, Lifetime: time.Minute}))
	got := []any{claims["nbf"], claims["exp"], claims["iat"]}
	if want := []any{float64(start.Unix()), float64(start.Unix() + 60), float64(clock.Now().Unix())}; !slices.Equal(got, want) {
		t.Errorf("nbf, exp, iat are %v, want %v", got, want)
	}
}
