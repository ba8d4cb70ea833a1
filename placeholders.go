package caddybws

import (
	"strconv"
	"strings"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/internal/evidence"
)

// placeholder provides {http.bws.*}, and the user where nobody else has set one.
func (v *visit) placeholder(key string) (any, bool) {
	if key == "http.auth.user.id" && !v.user.IsZero() {
		if v.silent {
			return "", true
		}
		return v.user.String(), true
	}
	name, ours := strings.CutPrefix(key, "http.bws.")
	if !ours {
		return nil, false
	}
	if v.silent {
		return "", true
	}
	return v.value(name)
}

// nothing is what a denial shows of whoever was denied.
var nothing evidence.Evidence

// value returns what a placeholder without its prefix stands for.
func (v *visit) value(name string) (string, bool) {
	switch name {
	case "decision":
		return v.word(), true
	case "reason":
		return string(v.decision.Reason), true
	case "evidence":
		return v.source(), true
	}
	e := &nothing
	if v.decision.Allow {
		e = v.evidence
	}
	switch name {
	case "action":
		return string(e.Action), true
	case "bcid":
		return e.BCID.String(), true
	case "storage":
		return e.BCID.Storage, true
	case "partition":
		return partOf(e.BCID, e.BCID.Partition), true
	case "class":
		return partOf(e.BCID, e.BCID.Class), true
	case "score":
		if !e.Matched {
			return "", true
		}
		return formatScore(e.Score), true
	case "age":
		if !v.decision.Allow {
			return "", true
		}
		return strconv.FormatInt(int64(e.Age(v.judgedAt)/time.Second), 10), true
	}
	return "", false
}

func partOf(b bws.BCID, part int32) string {
	if b.IsZero() {
		return ""
	}
	return strconv.FormatInt(int64(part), 10)
}
