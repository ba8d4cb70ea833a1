package bwstest

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bws/caddy-bws/bws"
)

// kinds are the values of the parameter task (documented).
var kinds = map[string]bws.Task{
	"":                  bws.TaskVerify,
	"verify":            bws.TaskVerify,
	"identify":          bws.TaskIdentify,
	"enroll":            bws.TaskEnroll,
	"livenessdetection": bws.TaskLiveOnly,
}

func parseTokenSpec(query url.Values) (spec TokenSpec, err error) {
	kind, known := kinds[query.Get("task")]
	if !known {
		return spec, errors.New("task is none of verify, identify, enroll, livenessdetection")
	}
	spec.Task = kind
	if bcid := query.Get("bcid"); bcid != "" || kind != bws.TaskLiveOnly {
		if spec.BCID, err = bws.ParseBCID(bcid); err != nil {
			return spec, errors.New("bcid is " + err.Error())
		}
	}
	if !spec.BCID.IsPerson() && (kind == bws.TaskVerify || kind == bws.TaskEnroll) {
		return spec, errors.New("bcid names no person")
	}
	tries, err := strconv.Atoi(cmp.Or(query.Get("maxtries"), "3"))
	if err != nil || tries < 1 || tries > 15 {
		return spec, errors.New("maxtries is not a number from 1 to 15")
	}
	spec.Task |= bws.Task(tries)
	if err := parseConditions(query, &spec); err != nil {
		return spec, err
	}
	if traits := query.Get("traits"); traits != "" {
		spec.Traits, err = parseTraits("traits", traits)
	}
	return spec, err
}

// parseConditions adds the conditions of the operation to the task.
func parseConditions(query url.Values, spec *TokenSpec) error {
	live, err := parseBool(query, "livedetection", true)
	if err != nil {
		return err
	}
	challenge, err := parseBool(query, "challenge", false)
	if err != nil {
		return err
	}
	autoEnroll, err := parseBool(query, "autoenroll", false)
	if err != nil {
		return err
	}
	// Whether BWS sets this bit for a liveness detection, too, is unknown. Here it does not, so that nobody relies on it.
	if live && spec.Task.Kind() != bws.TaskLiveOnly {
		spec.Task |= bws.TaskLiveDetect
	}
	// Without live detection BWS ignores the parameter (documented).
	if challenge && spec.Task.LiveDetection() {
		spec.Task |= bws.TaskChallenge
	}
	if autoEnroll {
		spec.Task |= bws.TaskAutoEnroll
	}
	// The form is that of the claim (inferred).
	if list := query.Get("challenges"); list != "" {
		if err := json.Unmarshal([]byte(list), &spec.Challenges); err != nil {
			return errors.New("challenges is not a JSON array of arrays of directions")
		}
		for _, direction := range slices.Concat(spec.Challenges...) {
			if !slices.Contains(directions, direction) {
				return errors.New("challenges has a direction that is none of up, left, down, right")
			}
		}
	}
	return nil
}

// parseBool reads a boolean in the notation of the service's own clients, true or True.
func parseBool(query url.Values, name string, absent bool) (bool, error) {
	switch value := query.Get(name); {
	case value == "":
		return absent, nil
	case strings.EqualFold(value, "true"):
		return true, nil
	case strings.EqualFold(value, "false"):
		return false, nil
	}
	return false, errors.New(name + " is neither true nor false")
}

// traits are the bits of the traits claim (documented).
var traits = map[string]int32{"face": 1, "periocular": 2, "voice": 4}

func parseTraits(name, list string) (bits int32, err error) {
	for trait := range strings.SplitSeq(list, ",") {
		bit, known := traits[strings.ToLower(strings.TrimSpace(trait))]
		if !known {
			return 0, errors.New(name + " has one that is none of Face, Periocular, Voice")
		}
		bits |= bit
	}
	return bits, nil
}
