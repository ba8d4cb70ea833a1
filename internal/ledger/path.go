package ledger

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// maxSegment keeps every segment a file name, with room for what a storage appends to it.
const maxSegment = 128

// Segments below the ledger's root.
const (
	spentArea   = "spent"
	revokedArea = "revoked"
	keysArea    = "keys"
)

// location names an entry of the storage, or the bucket that entries lie in. It is only made by rootOf and child, so that it lies
// below the ledger's own root. The zero location names nothing: it is what an odd segment leads to, and store refuses it. That
// matters because deleting is recursive and Caddy's certificates lie in the same storage.
type location struct{ path string }

// rootOf is where everything lies that belongs to a service.
func rootOf(service [32]byte) location {
	return location{"bws/" + hex.EncodeToString(service[:])}
}

// child is the location one segment further down, or the zero one if there is anything odd about the segment.
func (l location) child(segment string) location {
	if l.path == "" || !isSegment(segment) {
		return location{}
	}
	return location{l.path + "/" + segment}
}

// isEntry reports whether l lies inside one of the areas, and so may be stored and deleted.
func (l location) isEntry() bool {
	return strings.Count(l.path, "/") >= 3
}

// relative returns the segments of a listed key below l; none if it lies elsewhere. Some storages mark directories with a
// slash at the end.
func (l location) relative(listed string) []string {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(listed, "/"), l.path+"/")
	if !ok {
		return nil
	}
	return strings.Split(rest, "/")
}

func isSegment(s string) bool {
	if s == "" || len(s) > maxSegment || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// isHex reports whether s is what hex encoding makes of n bytes.
func isHex(s string, n int) bool {
	if len(s) != 2*n {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// minute names a bucket: the minutes since 1970.
type minute int64

func minuteOf(t time.Time) minute {
	seconds := t.Unix()
	if seconds < 0 {
		return -1
	}
	return minute(seconds / 60)
}

// parseMinute reads the name of a bucket. Only what String writes is ok.
func parseMinute(s string) (m minute, ok bool) {
	n, ok := parseDecimal(s)
	return minute(n), ok
}

// minutesIn returns the buckets that a listing of an area shows, be it recursive or not.
func minutesIn(area location, listing []string) map[minute]struct{} {
	minutes := make(map[minute]struct{})
	for _, listed := range listing {
		segments := area.relative(listed)
		if len(segments) == 0 {
			continue
		}
		if m, ok := parseMinute(segments[0]); ok {
			minutes[m] = struct{}{}
		}
	}
	return minutes
}

// start is when the minute begins.
func (m minute) start() time.Time { return time.Unix(60*int64(m), 0) }

func (m minute) String() string { return strconv.FormatInt(int64(m), 10) }

// parseDecimal reads what strconv.FormatInt writes for a number that is not negative. Beyond 48 bits nothing is ok, so that there is
// room to calculate.
func parseDecimal(s string) (n int64, ok bool) {
	n, err := strconv.ParseInt(s, 10, 48)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == s
}
