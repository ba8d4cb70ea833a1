package bws

import (
	"math"

	"github.com/go-json-experiment/json"
)

// Bounds of an answer, far above anything the service has reason to send.
const (
	maxBodyLength  = 64 << 10
	maxMatches     = 1000
	maxErrorLength = 64
)

const tooLong = "the body is longer than 64 KiB"

// wireResult is an OperationResult as the service sends it. Absent and null are the same for all members.
type wireResult struct {
	Action  Action
	BCID    string
	Success *bool
	Error   ErrorCode
	Matches []wireMatch
}

type wireMatch struct {
	BCID  string
	Score *float64
}

// DecodeResult reads the body of a successful answer of the result API. It refuses everything that could be read in two
// ways: names in other case count as unknown and are ignored, but repeated names, trailing data, invalid UTF-8 and
// values of a wrong type are errors. So is a result that contradicts itself or the API: Success must be there, and true
// demands a known action, a BCID except for a liveness detection (a person's, except for an identification), and no Error;
// matches must name persons, best first with scores from 0 to 1. The error is an [*Error] of kind [ErrInvalidResponse] and
// comes with the zero OperationResult.
func DecodeResult(body []byte) (OperationResult, error) {
	if len(body) > maxBodyLength {
		return OperationResult{}, invalidResponse(apiResult, tooLong)
	}
	var wire wireResult
	if err := json.Unmarshal(body, &wire); err != nil {
		return OperationResult{}, invalidResponse(apiResult, "the body is not strict JSON of the documented types")
	}
	result, fault := wire.result()
	if fault != "" {
		return OperationResult{}, invalidResponse(apiResult, fault)
	}
	return result, nil
}

// result checks w and converts it. It returns what is wrong with it, "" if nothing is.
func (w *wireResult) result() (result OperationResult, fault string) {
	switch {
	case w.Success == nil:
		return result, "Success is missing"
	case w.Action != "" && !w.Action.Known():
		return result, "Action is unknown"
	case !isErrorCode(w.Error):
		return result, "Error is not a plain word"
	}
	result = OperationResult{Action: w.Action, Success: *w.Success, Error: w.Error}
	if w.BCID != "" {
		var err error
		if result.BCID, err = ParseBCID(w.BCID); err != nil {
			return result, "BCID is malformed"
		}
	}
	if result.Matches, fault = matches(w.Matches); fault != "" {
		return result, fault
	}
	if result.Success {
		fault = contradiction(result)
	}
	return result, fault
}

// contradiction returns what keeps a result that says Success from being one, "" if nothing does.
func contradiction(r OperationResult) string {
	switch {
	case r.Error != "":
		return "Success is true, but there is an Error"
	case r.Action == "":
		return "Success is true, but Action is missing"
	case r.BCID.IsZero() && r.Action != LiveDetection:
		return "Success is true, but BCID is missing"
	case !r.BCID.IsPerson() && (r.Action == Verification || r.Action == Enrollment):
		return "Success is true, but BCID is a partition and no person"
	case len(r.Matches) > 0 && r.Action != Identification:
		return "there are Matches, but Action is not identification"
	}
	return ""
}

func matches(wire []wireMatch) (matches []Match, fault string) {
	if len(wire) == 0 {
		return nil, ""
	}
	if len(wire) > maxMatches {
		return nil, "there are more than 1000 Matches"
	}
	matches = make([]Match, len(wire))
	best := math.Inf(1)
	for i, m := range wire {
		bcid, err := ParseBCID(m.BCID)
		switch {
		case err != nil || !bcid.IsPerson():
			return nil, "the BCID of a match is missing, malformed or not a person"
		// The sign bit also catches -0, which would be printed as such.
		case m.Score == nil || math.Signbit(*m.Score) || *m.Score > 1:
			return nil, "the Score of a match is missing or not between 0 and 1"
		case *m.Score > best:
			return nil, "the Matches are not sorted by Score"
		}
		best = *m.Score
		matches[i] = Match{BCID: bcid, Score: best}
	}
	return matches, ""
}

func isErrorCode(code ErrorCode) bool {
	if len(code) > maxErrorLength {
		return false
	}
	for i := range len(code) {
		c := code[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
