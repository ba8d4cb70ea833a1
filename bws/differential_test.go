package bws

import (
	"cmp"
	stdjson "encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// speller writes JSON in one of the many ways to say the same.
type speller struct{ *rapid.T }

func (s speller) space() string {
	return rapid.SampledFrom([]string{"", "", "", " ", "\n", "\t", "\r\n  "}).Draw(s.T, "space")
}

// text spells some of the characters as escapes.
func (s speller) text(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r < ' ', r == '"', r == '\\', r < 0x80 && rapid.IntRange(0, 9).Draw(s.T, "escaped") == 0:
			fmt.Fprintf(&b, rapid.SampledFrom([]string{`\u%04x`, `\u%04X`}).Draw(s.T, "escape"), r)
		case r == '/' && rapid.Bool().Draw(s.T, "slash"):
			b.WriteString(`\/`)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func (s speller) number(f float64) string {
	return strconv.FormatFloat(f, rapid.SampledFrom([]byte("eEfg")).Draw(s.T, "notation"), -1, 64)
}

// member is a name and how its value is spelled.
type member struct{ name, value string }

// object spells members in any order.
func (s speller) object(members []member) string {
	spelled := make([]string, len(members))
	for i, m := range rapid.Permutation(members).Draw(s.T, "order") {
		spelled[i] = s.space() + s.text(m.name) + s.space() + ":" + s.space() + m.value + s.space()
	}
	return s.space() + "{" + strings.Join(spelled, ",") + "}" + s.space()
}

// optional is a member that is left out or null if its value is the zero value.
func (s speller) optional(members []member, name, value string, zero bool) []member {
	switch {
	case !zero:
		return append(members, member{name, value})
	case rapid.Bool().Draw(s.T, "null "+name):
		return append(members, member{name, "null"})
	}
	return members
}

// strangers adds members that nobody knows, of names that encoding/json does not take for known ones in another case.
func (s speller) strangers(members []member) []member {
	values := []string{`null`, `true`, `-1.5e3`, `"Success"`, `{"Success":false,"exp":[]}`, `[{"Success":true},[],{}]`}
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`x[a-zé"\\ ]{0,4}`), 0, 2, rapid.ID).Draw(s.T, "strangers") {
		members = append(members, member{name, rapid.SampledFrom(values).Draw(s.T, "value")})
	}
	return members
}

func drawBCID(t *rapid.T, person bool) BCID {
	b := BCID{
		Storage:   rapid.StringMatching(`[A-Za-z0-9_]{1,64}`).Draw(t, "storage"),
		Partition: rapid.Int32().Draw(t, "partition"),
		Class:     rapid.Int32().Draw(t, "class"),
	}
	if person && b.Class == 0 {
		b.Class = 1
	}
	return b
}

// drawResult draws a result that the API may report.
func drawResult(t *rapid.T) OperationResult {
	r := OperationResult{
		Success: rapid.Bool().Draw(t, "success"),
		Action:  rapid.SampledFrom([]Action{Verification, Identification, Enrollment, LiveDetection}).Draw(t, "action"),
	}
	if !r.Success {
		r.Error = ErrorCode(rapid.StringMatching(`([A-Za-z]{1,64})?`).Draw(t, "error"))
	}
	if r.Action != LiveDetection && (r.Success || rapid.Bool().Draw(t, "named")) {
		r.BCID = drawBCID(t, r.Action != Identification)
	}
	if r.Action == Identification {
		scores := rapid.SliceOfN(rapid.Float64Range(0, 1), 0, 4).Draw(t, "scores")
		slices.SortFunc(scores, func(a, b float64) int { return cmp.Compare(b, a) })
		for _, score := range scores {
			r.Matches = append(r.Matches, Match{BCID: drawBCID(t, true), Score: score + 0}) // no -0
		}
	}
	return r
}

func (s speller) bcid(b BCID) string {
	separator := rapid.SampledFrom([]string{"/", "."}).Draw(s.T, "separator")
	return s.text(strings.ReplaceAll(b.String(), "/", separator))
}

func (s speller) result(r OperationResult) string {
	matches := make([]string, len(r.Matches))
	for i, m := range r.Matches {
		matches[i] = s.object(s.strangers([]member{{"BCID", s.bcid(m.BCID)}, {"Score", s.number(m.Score)}}))
	}
	members := []member{{"Success", strconv.FormatBool(r.Success)}, {"Action", s.text(string(r.Action))}}
	members = s.optional(members, "BCID", s.bcid(r.BCID), r.BCID.IsZero())
	members = s.optional(members, "Error", s.text(string(r.Error)), r.Error == "")
	members = s.optional(members, "Matches", "["+strings.Join(matches, ",")+"]", len(matches) == 0)
	return s.object(s.strangers(members))
}

// However a valid answer is spelled, the decoder reads what encoding/json does.
func TestDecodeResultLikeEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawResult(t)
		body := []byte(speller{t}.result(want))
		got, err := DecodeResult(body)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s is read as %+v, %v; want %+v", body, got, err, want)
		}
		sameAsEncodingJSON(t, body, got)
	})
}

// The same for the claims of a token.
func TestParseTokenLikeEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, text := speller{t}, rapid.StringN(0, 20, 40)
		second := rapid.Int64Range(1, maxUnixTime)
		want := UnverifiedClaims{
			TokenID: text.Draw(t, "tokenid"), Client: text.Draw(t, "clnt"), App: text.Draw(t, "app"), BCID: text.Draw(t, "bcid"),
			Issuer: text.Draw(t, "iss"), Audience: text.Draw(t, "aud"),
			Task: Task(rapid.Int32Min(0).Draw(t, "task")), Traits: rapid.Int32Min(0).Draw(t, "traits"),
			NotBefore: time.Unix(second.Draw(t, "nbf"), 0).UTC(), Expires: time.Unix(second.Draw(t, "exp"), 0).UTC(),
		}
		members := []member{{"nbf", fmt.Sprint(want.NotBefore.Unix())}, {"exp", fmt.Sprint(want.Expires.Unix())}}
		for _, m := range []member{
			{"tokenid", want.TokenID}, {"clnt", want.Client}, {"app", want.App}, {"bcid", want.BCID}, {"iss", want.Issuer},
			{"aud", want.Audience},
		} {
			members = append(members, member{m.name, s.text(m.value)})
		}
		members = s.optional(members, "task", fmt.Sprint(int32(want.Task)), want.Task == 0)
		members = s.optional(members, "traits", fmt.Sprint(want.Traits), want.Traits == 0)
		payload := s.object(s.strangers(members))
		got, err := ParseToken(makeToken(testHeader, payload))
		if err != nil || got != want {
			t.Fatalf("%s is read as %+v, %v; want %+v", payload, got, err, want)
		}
		var read jwtPayload
		if err := stdjson.Unmarshal([]byte(payload), &read); err != nil || read.claims() != got {
			t.Fatalf("encoding/json reads %s as %+v, %v, not as %+v", payload, read.claims(), err, got)
		}
	})
}
