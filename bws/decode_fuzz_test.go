package bws

import (
	stdjson "encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func FuzzDecodeResult(f *testing.F) {
	f.Add([]byte(identified))
	f.Add([]byte(`{"Action":"enrollment","BCID":"bioid/9876/12345","Success":true}`))
	f.Add([]byte(`{"Action":"livenessdetection","Success":true,"Error":null,"Matches":[]}`))
	f.Add([]byte(`{"Action":"verification","BCID":"bioid/9876/-1","Success":false,"Error":"NoTemplateAvailable"}`))
	f.Add([]byte(`{"Success":false,"success":true,"\u0053uccess":true}`))
	f.Add([]byte(`{"Action":"identification","BCID":"b/1/0","Success":true,"Matches":[{"BCID":"b/1/1","Score":-0}]}`))
	f.Add([]byte(`{"Success":true}{"Success":false}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := DecodeResult(body)
		if err != nil {
			if !errors.Is(err, ErrInvalidResponse) || !reflect.DeepEqual(got, OperationResult{}) {
				t.Fatalf("error %v, result %+v", err, got)
			}
			return
		}
		keepsPromises(t, got)
		sameAsEncodingJSON(t, body, got)
	})
}

// keepsPromises checks what the documentation of OperationResult says.
func keepsPromises(t *testing.T, r OperationResult) {
	if r.Action != "" && !r.Action.Known() {
		t.Fatalf("unknown action: %+v", r)
	}
	if r.Success && (r.Error != "" || r.Action == "" || r.BCID.IsZero() && r.Action != LiveDetection) {
		t.Fatalf("no proper success: %+v", r)
	}
	if r.Success && len(r.Matches) > 0 && r.Action != Identification {
		t.Fatalf("matches of another action: %+v", r)
	}
	if !r.BCID.IsZero() {
		if again, err := ParseBCID(r.BCID.String()); err != nil || again != r.BCID {
			t.Fatalf("no proper BCID: %+v", r)
		}
	}
	best := 1.0
	for _, m := range r.Matches {
		if !m.BCID.IsPerson() || !(m.Score >= 0 && m.Score <= best) {
			t.Fatalf("no proper matches: %+v", r)
		}
		best = m.Score
	}
}

// sameAsEncodingJSON checks that another decoder reads the same members, each by its exact name.
func sameAsEncodingJSON(t interface{ Fatalf(string, ...any) }, body []byte, r OperationResult) {
	var members map[string]stdjson.RawMessage
	if err := stdjson.Unmarshal(body, &members); err != nil {
		t.Fatalf("encoding/json refuses it: %v", err)
	}
	decode := func(name string, into any) {
		if raw, ok := members[name]; ok {
			if err := stdjson.Unmarshal(raw, into); err != nil {
				t.Fatalf("encoding/json refuses %s: %v", name, err)
			}
		}
	}
	var want OperationResult
	var bcid string
	var matches []map[string]stdjson.RawMessage
	decode("Action", &want.Action)
	decode("BCID", &bcid)
	decode("Success", &want.Success)
	decode("Error", &want.Error)
	decode("Matches", &matches)
	same := func(spelled string, b BCID) bool { return strings.ReplaceAll(spelled, ".", "/") == b.String() }
	if want.Action != r.Action || want.Success != r.Success || want.Error != r.Error || len(matches) != len(r.Matches) ||
		!same(bcid, r.BCID) {
		t.Fatalf("encoding/json reads %+v, BCID %q, %d matches; got %+v", want, bcid, len(matches), r)
	}
	for i, m := range matches {
		var person string
		var score float64
		err := errors.Join(stdjson.Unmarshal(m["BCID"], &person), stdjson.Unmarshal(m["Score"], &score))
		if err != nil || !same(person, r.Matches[i].BCID) || score != r.Matches[i].Score {
			t.Fatalf("encoding/json reads the match %q, %v, %v; got %+v", person, score, err, r.Matches[i])
		}
	}
}
