package bws

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	testHeader  = `{"alg":"HS256","typ":"JWT"}`
	testPayload = `{"tokenid":"00a0008f-0150-484e-9aee-db0148b93413","clnt":"client","app":"1001513735.bws.bioid.com","traits":3,` +
		`"task":259,"bcid":"bws/11558/1","nbf":1535045198,"exp":1535045798,"iat":1535045198,"iss":"BWS","aud":"https://bws.bioid.com"}`
)

// makeToken encodes a token as it is, with a signature that nobody made.
func makeToken(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode([]byte("a signature of 32 bytes by nobody"))
}

func TestParseToken(t *testing.T) {
	got, err := ParseToken(makeToken(testHeader, testPayload))
	if err != nil {
		t.Fatal(err)
	}
	want := UnverifiedClaims{
		TokenID:   "00a0008f-0150-484e-9aee-db0148b93413",
		Client:    "client",
		App:       "1001513735.bws.bioid.com",
		BCID:      "bws/11558/1",
		Task:      TaskVerify | TaskLiveDetect | 3,
		Traits:    3,
		NotBefore: time.Date(2018, 8, 23, 17, 26, 38, 0, time.UTC),
		Expires:   time.Date(2018, 8, 23, 17, 36, 38, 0, time.UTC),
		IssuedAt:  time.Date(2018, 8, 23, 17, 26, 38, 0, time.UTC),
		Issuer:    "BWS",
		Audience:  "https://bws.bioid.com",
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestParseTokenAccepts(t *testing.T) {
	for name, payload := range map[string]string{
		"nothing but times":          `{"exp":2,"nbf":1}`,
		"last second before 10000":   `{"exp":253402300799,"nbf":253402300799}`,
		"white space":                " {\n\"exp\" : 2,\t\"nbf\" : 1 } ",
		"challenge, a claim unknown": `{"exp":2,"nbf":1,"challenge":"[[\"up\",\"down\"]]"}`,
		"other case is unknown":      `{"exp":2,"nbf":1,"EXP":"x","Task":"x"}`,
		"null is absent":             `{"exp":2,"nbf":1,"bcid":null,"task":null,"iat":null}`,
		"nested values unknown":      `{"exp":2,"nbf":1,"x":{"exp":[{"exp":0}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseToken(makeToken(testHeader, payload))
			if err != nil || got.Expires.IsZero() || got.NotBefore.IsZero() {
				t.Fatalf("got %+v, %v", got, err)
			}
			if !got.IssuedAt.IsZero() || got.BCID != "" || got.Task != 0 {
				t.Errorf("claims that are absent have values: %+v", got)
			}
		})
	}
}

func TestParseTokenAtTheBounds(t *testing.T) {
	got, err := ParseToken(makeToken(testHeader, `{"exp":1,"nbf":1,"iat":253402300799}`))
	if err != nil || got.Expires.Unix() != 1 || got.NotBefore.Unix() != 1 || got.IssuedAt.Unix() != maxUnixTime {
		t.Errorf("got %+v, %v", got, err)
	}
	longest := makeToken(testHeader, `{"exp":2,"nbf":1,"x":""}`)
	for pad := 0; len(longest) < MaxTokenLength; pad++ {
		longest = makeToken(testHeader, `{"exp":2,"nbf":1,"x":"`+strings.Repeat("x", pad)+`"}`)
	}
	if len(longest) != MaxTokenLength {
		t.Fatalf("it has %d bytes", len(longest))
	}
	if _, err := ParseToken(longest); err != nil {
		t.Errorf("a token of %d bytes: %v", len(longest), err)
	}
	if bound := fmt.Sprintf("at most %d bytes", MaxTokenLength); !strings.Contains(ErrMalformedToken.Error(), bound) {
		t.Errorf("the error does not say %q: %v", bound, ErrMalformedToken)
	}
}

func TestParseTokenRefusesPayload(t *testing.T) {
	for name, payload := range map[string]string{
		"empty object":               `{}`,
		"no exp":                     `{"nbf":1}`,
		"no nbf":                     `{"exp":2}`,
		"exp zero":                   `{"exp":0,"nbf":1}`,
		"exp negative":               `{"exp":-2,"nbf":1}`,
		"nbf zero":                   `{"exp":2,"nbf":0}`,
		"nbf negative":               `{"exp":2,"nbf":-1}`,
		"exp null":                   `{"exp":null,"nbf":1}`,
		"exp text":                   `{"exp":"2","nbf":1}`,
		"exp fraction":               `{"exp":2.5,"nbf":1}`,
		"exp exponent":               `{"exp":2e9,"nbf":1}`,
		"exp year 10000":             `{"exp":253402300800,"nbf":1}`,
		"nbf year 10000":             `{"exp":2,"nbf":253402300800}`,
		"exp beyond int64":           `{"exp":9223372036854775808,"nbf":1}`,
		"iat negative":               `{"exp":2,"nbf":1,"iat":-1}`,
		"iat year 10000":             `{"exp":2,"nbf":1,"iat":253402300800}`,
		"exp repeated":               `{"exp":2,"nbf":1,"exp":3}`,
		"exp repeated with escape":   `{"exp":2,"nbf":1,"\u0065xp":3}`,
		"unknown claim repeated":     `{"exp":2,"nbf":1,"x":1,"x":1}`,
		"nested claim repeated":      `{"exp":2,"nbf":1,"x":{"y":1,"y":1}}`,
		"task text":                  `{"exp":2,"nbf":1,"task":"259"}`,
		"task beyond int32":          `{"exp":2,"nbf":1,"task":4294967555}`,
		"task negative":              `{"exp":2,"nbf":1,"task":-1}`,
		"task fraction":              `{"exp":2,"nbf":1,"task":259.0}`,
		"traits negative":            `{"exp":2,"nbf":1,"traits":-1}`,
		"bcid number":                `{"exp":2,"nbf":1,"bcid":1}`,
		"app object":                 `{"exp":2,"nbf":1,"app":{}}`,
		"aud array":                  `{"exp":2,"nbf":1,"aud":["https://bws.bioid.com"]}`,
		"tokenid bool":               `{"exp":2,"nbf":1,"tokenid":true}`,
		"trailing data":              `{"exp":2,"nbf":1}{}`,
		"trailing NUL":               `{"exp":2,"nbf":1}` + "\x00",
		"byte order mark":            "\ufeff" + `{"exp":2,"nbf":1}`,
		"comment":                    `{"exp":2,"nbf":1/**/}`,
		"trailing comma":             `{"exp":2,"nbf":1,}`,
		"leading zero":               `{"exp":02,"nbf":1}`,
		"invalid UTF-8":              `{"exp":2,"nbf":1,"bcid":"` + "\xff" + `"}`,
		"invalid UTF-8 in unknown":   `{"exp":2,"nbf":1,"x":"` + "\xff" + `"}`,
		"lone surrogate":             `{"exp":2,"nbf":1,"bcid":"\ud800"}`,
		"null":                       `null`,
		"array":                      `[]`,
		"text":                       `"x"`,
		"number":                     `1`,
		"empty":                      ``,
		"deep nesting":               `{"exp":2,"nbf":1,"x":` + strings.Repeat("[", 1000),
		"longer than 4096 bytes":     `{"exp":2,"nbf":1,"x":"` + strings.Repeat("x", 4096) + `"}`,
		"1 MB":                       `{"exp":2,"nbf":1,"x":"` + strings.Repeat("x", 1<<20) + `"}`,
		"control character in a str": "{\"exp\":2,\"nbf\":1,\"bcid\":\"\n\"}",
	} {
		t.Run(name, func(t *testing.T) { wantMalformed(t, makeToken(testHeader, payload)) })
	}
}

func TestParseTokenRefusesHeader(t *testing.T) {
	for name, header := range map[string]string{
		"case 111: alg none":      `{"alg":"none"}`,
		"case 111: alg None":      `{"alg":"NoNe","typ":"JWT"}`,
		"case 111: alg empty":     `{"alg":""}`,
		"case 111: alg missing":   `{"typ":"JWT"}`,
		"case 111: alg null":      `{"alg":null}`,
		"case 111: alg number":    `{"alg":1}`,
		"case 111: alg repeated":  `{"alg":"HS256","alg":"HS256"}`,
		"case 111: alg other key": `{"ALG":"HS256"}`,
		"not an object":           `"HS256"`,
		"null":                    `null`,
		"trailing data":           testHeader + "1",
		"empty":                   ``,
	} {
		t.Run(name, func(t *testing.T) { wantMalformed(t, makeToken(header, testPayload)) })
	}
}

func TestParseTokenRefusesSyntax(t *testing.T) {
	good := makeToken(testHeader, testPayload)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"case 38: empty":                "",
		"case 38: one byte":             "x",
		"dots alone":                    "..",
		"one part":                      parts[0],
		"two parts":                     parts[0] + "." + parts[1],
		"four parts":                    good + ".x",
		"no signature":                  parts[0] + "." + parts[1] + ".",
		"no header":                     "." + parts[1] + "." + parts[2],
		"no payload":                    parts[0] + ".." + parts[2],
		"padding":                       good + "=",
		"stray bits":                    parts[0] + "." + parts[1] + ".AB",
		"impossible length":             parts[0] + "." + parts[1] + ".AAAAA",
		"plus, not base64url":           parts[0] + "." + parts[1] + ".++++",
		"slash, not base64url":          parts[0] + "." + parts[1] + ".////",
		"case 31: line break inside":    good[:5] + "\n" + good[5:],
		"case 31: line break at end":    good + "\r\n",
		"case 31: space at end":         good + " ",
		"case 31: space in front":       " " + good,
		"case 31: quotes":               `"` + good + `"`,
		"case 31: percent":              good + "%00",
		"case 38: second access_token":  good + "&access_token=" + good,
		"case 38: fragment":             good + "#",
		"case 38: CRLF and a header":    good + "\r\nX-Admin: 1",
		"case 38: path":                 "../" + good,
		"case 38: NUL":                  good + "\x00",
		"case 38: 1 MB":                 strings.Repeat("A", 1<<20),
		"one byte too long":             good + strings.Repeat("A", MaxTokenLength+1-len(good)),
		"other scripts":                 parts[0] + "." + parts[1] + ".ＡＡＡＡ",
		"two tokens":                    good + "," + good,
		"with scheme":                   "Bearer " + good,
		"JWE has five parts":            "a.b.c.d.e",
		"unsecured, without signature ": base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
	} {
		t.Run(name, func(t *testing.T) { wantMalformed(t, token) })
	}
}

// The bit is part of the service's API.
func TestTraitFace(t *testing.T) {
	if TraitFace != 0b001 {
		t.Errorf("face is %b", TraitFace)
	}
}

func wantMalformed(t *testing.T, token string) {
	t.Helper()
	claims, err := ParseToken(token)
	if err != ErrMalformedToken { // itself, so that nothing of the token can be in it
		t.Errorf("got error %v, want %v", err, ErrMalformedToken)
	}
	if claims != (UnverifiedClaims{}) {
		t.Errorf("an error, and yet claims: %+v", claims)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(makeToken(testHeader, testPayload))
	f.Add(makeToken(`{"alg":"none"}`, testPayload))
	f.Add(makeToken(testHeader, `{"exp":2,"nbf":1,"task":-1}`))
	f.Add(makeToken(testHeader, `{"exp":2,"exp":3,"nbf":1}`))
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := ParseToken(token)
		if err != nil {
			if err != ErrMalformedToken || claims != (UnverifiedClaims{}) {
				t.Fatalf("%q: error %v, claims %+v", token, err, claims)
			}
			return
		}
		parts := strings.Split(token, ".")
		if len(parts) != 3 || len(token) > MaxTokenLength {
			t.Fatalf("%q is accepted", token)
		}
		for _, part := range parts {
			raw, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil || len(raw) == 0 || base64.RawURLEncoding.EncodeToString(raw) != part {
				t.Fatalf("%q is accepted, but its part %q is not canonical", token, part)
			}
		}
		for _, at := range []time.Time{claims.Expires, claims.NotBefore} {
			if at.Unix() <= 0 || at.Year() > 9999 {
				t.Fatalf("%q is accepted with the time %v", token, at)
			}
		}
		if claims.Task < 0 || claims.Traits < 0 {
			t.Fatalf("%q is accepted with negative bits: %+v", token, claims)
		}
	})
}

func BenchmarkParseToken(b *testing.B) {
	token := makeToken(testHeader, testPayload)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseToken(token); err != nil {
			b.Fatal(err)
		}
	}
}
