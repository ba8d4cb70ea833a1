package bws

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// identified is a sample of the service's documentation.
const identified = `{"Action":"identification","BCID":"bioid/9876/0","Success":true,` +
	`"Matches":[{"BCID":"bioid/9876/12345","Score":0.73721338244277179},{"BCID":"bioid/9876/54321","Score":0.4841065082191604}]}`

func TestDecodeResult(t *testing.T) {
	person := BCID{"bioid", 9876, 12345}
	for name, test := range map[string]struct {
		body string
		want OperationResult
	}{
		"sample of an enrollment": {
			`{"Action":"enrollment","BCID":"bioid/9876/12345","Success":true}`,
			OperationResult{Action: Enrollment, BCID: person, Success: true},
		},
		"sample of an identification": {
			identified,
			OperationResult{Action: Identification, BCID: BCID{"bioid", 9876, 0}, Success: true, Matches: []Match{
				{person, 0.73721338244277179}, {BCID{"bioid", 9876, 54321}, 0.4841065082191604},
			}},
		},
		"sample of a failed verification": {
			`{"Action":"verification","BCID":"bioid/9876/12345","Success":false,"Error":"NoTemplateAvailable"}`,
			OperationResult{Action: Verification, BCID: person, Error: NoTemplateAvailable},
		},
		"sample of a failure without action": {
			`{"Success":false,"Error":"LiveDetectionFailed"}`,
			OperationResult{Error: LiveDetectionFailed},
		},
		"not recognized": {
			`{"Action":"verification","BCID":"bioid/9876/12345","Success":false}`,
			OperationResult{Action: Verification, BCID: person},
		},
		"liveness detection names nobody": {
			`{"Action":"livenessdetection","Success":true}`,
			OperationResult{Action: LiveDetection, Success: true},
		},
		"liveness detection with a BCID": {
			`{"Action":"livenessdetection","BCID":"bioid/9876/12345","Success":true}`,
			OperationResult{Action: LiveDetection, BCID: person, Success: true},
		},
		"identification of a full BCID": {
			`{"Action":"identification","BCID":"bioid/9876/12345","Success":true}`,
			OperationResult{Action: Identification, BCID: person, Success: true},
		},
		"dots in a BCID": {
			`{"Action":"verification","BCID":"bioid.9876.12345","Success":true}`,
			OperationResult{Action: Verification, BCID: person, Success: true},
		},
		"null is absent": {
			`{"Action":"verification","BCID":"bioid/9876/12345","Success":true,"Error":null,"Matches":null}`,
			OperationResult{Action: Verification, BCID: person, Success: true},
		},
		"no error is an empty text, no matches an empty list": {
			`{"Action":"verification","BCID":"bioid/9876/12345","Success":true,"Error":"","Matches":[]}`,
			OperationResult{Action: Verification, BCID: person, Success: true},
		},
		"all null but success": {
			`{"Action":null,"BCID":null,"Success":false,"Error":null,"Matches":null}`,
			OperationResult{},
		},
		"an error nobody knows": {
			`{"Success":false,"Error":"NewIn2031"}`,
			OperationResult{Error: "NewIn2031"},
		},
		"unknown members": {
			`{"Id":1,"Action":"verification","BCID":"bioid/9876/12345","Success":true,"Extra":{"Success":[false]}}`,
			OperationResult{Action: Verification, BCID: person, Success: true},
		},
		"white space": {
			" \r\n\t{ \"Success\" : false } \n",
			OperationResult{},
		},
		"scores at the bounds and a tie": {
			`{"Action":"identification","BCID":"b/1/0","Success":true,` +
				`"Matches":[{"BCID":"b/1/1","Score":1},{"BCID":"b/1/2","Score":1.0},{"BCID":"b/1/-3","Score":0}]}`,
			OperationResult{Action: Identification, BCID: BCID{"b", 1, 0}, Success: true, Matches: []Match{
				{BCID{"b", 1, 1}, 1}, {BCID{"b", 1, 2}, 1}, {BCID{"b", 1, -3}, 0},
			}},
		},
		"case 80: success in lower case is unknown": {
			`{"Success":false,"success":true,"Action":"verification","BCID":"bioid/9876/12345"}`,
			OperationResult{Action: Verification, BCID: person},
		},
		"case 80: success in upper case and with a long s are unknown": {
			`{"SUCCESS":true,"Success":false,"\u017fuccess":true}`,
			OperationResult{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeResult([]byte(test.body))
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestDecodeResultRefuses(t *testing.T) {
	success := func(members string) string {
		return `{"Action":"verification","BCID":"bioid/9876/12345","Success":true` + members + `}`
	}
	identification := func(matches string) string {
		return `{"Action":"identification","BCID":"bioid/9876/0","Success":true,"Matches":` + matches + `}`
	}
	tooLongWord := strings.Repeat("x", 65)
	for name, body := range map[string]string{
		"case 78: empty":                           "",
		"case 78: white space":                     "\n",
		"case 78: HTML":                            "<html>",
		"case 79: duplicate Success":               `{"Success":false,"Success":true}`,
		"case 79: duplicate Success, escaped":      `{"Success":false,"\u0053uccess":true}`,
		"case 79: duplicate Action":                success(`,"Action":"verification"`),
		"case 79: duplicate BCID":                  success(`,"BCID":"bioid/9876/12345"`),
		"case 79: duplicate unknown member":        success(`,"x":1,"x":1`),
		"case 79: duplicate nested member":         success(`,"x":[{"y":1,"y":1}]`),
		"case 79: duplicate Score":                 identification(`[{"BCID":"b/1/1","Score":0.1,"Score":0.9}]`),
		"case 80: success in lower case alone":     `{"Action":"verification","BCID":"bioid/9876/12345","success":true}`,
		"case 80: long s alone":                    "{\"Action\":\"verification\",\"BCID\":\"bioid/9876/12345\",\"\u017fuccess\":true}",
		"case 80: score in lower case":             identification(`[{"BCID":"b/1/1","score":0.9}]`),
		"case 80: action in lower case":            `{"action":"verification","BCID":"bioid/9876/12345","Success":true}`,
		"case 81: second value":                    success("") + `{"Success":false}`,
		"case 81: trailing NUL":                    success("") + "\x00",
		"case 81: trailing garbage":                success("") + "x",
		"case 81: byte order mark":                 "\ufeff" + success(""),
		"case 81: comment":                         success("/**/"),
		"case 81: trailing comma":                  success(","),
		"case 82: Matches is a text":               success(`,"Matches":"x"`),
		"case 82: Matches is an object":            success(`,"Matches":{}`),
		"case 82: Score is a text":                 identification(`[{"BCID":"b/1/1","Score":"0.9"}]`),
		"case 82: Score is beyond float64":         identification(`[{"BCID":"b/1/1","Score":1e400}]`),
		"case 82: Score is the text NaN":           identification(`[{"BCID":"b/1/1","Score":"NaN"}]`),
		"case 82: Score is NaN":                    identification(`[{"BCID":"b/1/1","Score":NaN}]`),
		"case 82: Success true, then null":         `{"Action":"verification","BCID":"b/1/1","Success":true,"Success":null}`,
		"case 82: Error is a number":               success(`,"Error":0`),
		"case 82: Error is false":                  success(`,"Error":false`),
		"case 82: Success is a text":               `{"Action":"verification","BCID":"b/1/1","Success":"true"}`,
		"case 82: Success is a number":             `{"Action":"verification","BCID":"b/1/1","Success":1}`,
		"case 82: Action is a number":              `{"Action":1,"BCID":"b/1/1","Success":true}`,
		"case 82: BCID is an array":                `{"Action":"verification","BCID":["b/1/1"],"Success":true}`,
		"case 83: null":                            `null`,
		"case 83: array":                           `[]`,
		"case 83: array of a result":               `[` + success("") + `]`,
		"case 83: text":                            `"true"`,
		"case 83: number":                          `1`,
		"case 83: true":                            `true`,
		"case 83: empty object":                    `{}`,
		"case 83: Success is missing":              `{"Action":"verification","BCID":"bioid/9876/12345"}`,
		"case 83: Success is null":                 `{"Action":"verification","BCID":"bioid/9876/12345","Success":null}`,
		"case 83: Action is missing":               `{"BCID":"bioid/9876/12345","Success":true}`,
		"case 83: Action is null":                  `{"Action":null,"BCID":"bioid/9876/12345","Success":true}`,
		"verification of a partition":              `{"Action":"verification","BCID":"bioid/9876/0","Success":true}`,
		"enrollment of a partition":                `{"Action":"enrollment","BCID":"bioid/9876/0","Success":true}`,
		"case 83: BCID is missing":                 `{"Action":"verification","Success":true}`,
		"case 83: BCID is empty":                   `{"Action":"verification","BCID":"","Success":true}`,
		"case 83: BCID of an enrollment":           `{"Action":"enrollment","Success":true}`,
		"case 83: BCID of an identification":       `{"Action":"identification","Success":true}`,
		"case 85: Action in upper case":            `{"Action":"Verification","BCID":"b/1/1","Success":true}`,
		"case 85: Action verify":                   `{"Action":"verify","BCID":"b/1/1","Success":true}`,
		"case 85: Action unknown":                  `{"Action":"deletion","BCID":"b/1/1","Success":true}`,
		"case 85: Action unknown on failure":       `{"Action":"livedetection","Success":false}`,
		"case 87: Success with an Error":           success(`,"Error":"LiveDetectionFailed"`),
		"case 9: BCID with a header":               `{"Action":"verification","BCID":"b/1/1\r\nX-Admin: 1","Success":true}`,
		"case 10: BCID with a placeholder":         `{"Action":"verification","BCID":"{env.SECRET}/1/1","Success":true}`,
		"case 11: BCID with NUL":                   `{"Action":"verification","BCID":"b/1/1\u0000","Success":true}`,
		"case 11: BCID with a lone surrogate":      `{"Action":"verification","BCID":"b\ud800/1/1","Success":true}`,
		"case 11: BCID of invalid UTF-8":           "{\"Action\":\"verification\",\"BCID\":\"b\xff/1/1\",\"Success\":true}",
		"case 11: unknown member of invalid UTF-8": success(",\"x\":\"\xff\""),
		"case 11: unknown lone surrogate":          success(`,"x":"\udc00"`),
		"case 11: BCID too long":                   `{"Action":"enrollment","Success":true,"BCID":"` + tooLongWord + `/1/1"}`,
		"BCID malformed on failure":                `{"BCID":"b/01/1","Success":false}`,
		"BCID malformed, liveness detection":       `{"Action":"livenessdetection","BCID":"nobody","Success":true}`,
		"BCID beyond Int32":                        `{"Action":"verification","BCID":"b/1/2147483648","Success":true}`,
		"match without BCID":                       identification(`[{"Score":0.9}]`),
		"match without Score":                      identification(`[{"BCID":"b/1/1"}]`),
		"match with Score null":                    identification(`[{"BCID":"b/1/1","Score":null}]`),
		"match null":                               identification(`[null]`),
		"match empty":                              identification(`[{}]`),
		"match of a partition":                     identification(`[{"BCID":"b/1/0","Score":0.9}]`),
		"match with a malformed BCID":              identification(`[{"BCID":"b/1","Score":0.9}]`),
		"match as the identify API has it":         identification(`[{"Score":0.9,"Storage":"b","Partition":1,"ClassID":1}]`),
		"second match wrong":                       identification(`[{"BCID":"b/1/1","Score":0.9},{"BCID":"b/1/0","Score":0.8}]`),
		"Score negative":                           identification(`[{"BCID":"b/1/1","Score":-0.1}]`),
		"Score negative zero":                      identification(`[{"BCID":"b/1/1","Score":-0}]`),
		"Score negative beyond float64":            identification(`[{"BCID":"b/1/1","Score":-1e-400}]`),
		"Score above one":                          identification(`[{"BCID":"b/1/1","Score":1.0000000000000002}]`),
		"Scores unsorted":                          identification(`[{"BCID":"b/1/1","Score":0.4},{"BCID":"b/1/2","Score":0.5}]`),
		"Matches wrong on failure":                 `{"Action":"identification","Success":false,"Matches":[{"BCID":"b/1/1"}]}`,
		"Matches of a verification":                success(`,"Matches":[{"BCID":"b/1/1","Score":0.9}]`),
		"1001 Matches":                             identification(manyMatches(1001)),
		"Error too long":                           `{"Success":false,"Error":"` + tooLongWord + `"}`,
		"Error with a space":                       `{"Success":false,"Error":"No Template"}`,
		"Error with a line break":                  `{"Success":false,"Error":"a\nb"}`,
		"Error in another script":                  `{"Success":false,"Error":"Fehlerü"}`,
		"case 77: more than 64 KiB":                success("") + strings.Repeat(" ", maxBodyLength),
		"case 77: deep nesting":                    success(`,"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeResult([]byte(body))
			var e *Error
			if !errors.Is(err, ErrInvalidResponse) || !errors.As(err, &e) {
				t.Fatalf("got error %v, want one of kind %q", err, ErrInvalidResponse)
			}
			if !reflect.DeepEqual(got, OperationResult{}) {
				t.Errorf("an error, and yet a result: %+v", got)
			}
		})
	}
}

func TestDecodeResultOfMaxSize(t *testing.T) {
	body := `{"Action":"identification","BCID":"b/1/0","Success":true,"Matches":` + manyMatches(maxMatches) + `}`
	body += strings.Repeat(" ", maxBodyLength-len(body))
	if got, err := DecodeResult([]byte(body)); err != nil || len(got.Matches) != maxMatches {
		t.Errorf("got %d matches, %v; want %d", len(got.Matches), err, maxMatches)
	}
}

// manyMatches returns n matches in the fewest bytes.
func manyMatches(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"BCID":"b/1/%d","Score":0.5}`, i+1)
	}
	return "[" + strings.Join(list, ",") + "]"
}

func BenchmarkDecodeResult(b *testing.B) {
	body := []byte(identified)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeResult(body); err != nil {
			b.Fatal(err)
		}
	}
}
