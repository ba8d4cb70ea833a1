package bws

import (
	"errors"
	"strconv"
	"strings"
)

// maxStorageLength bounds the storage part of a BCID. The service documents "a word" without a length;
// every name seen is shorter than ten characters.
const maxStorageLength = 64

// ErrInvalidBCID is what [ParseBCID] returns for anything but a canonical BCID.
var ErrInvalidBCID = errors.New("not a BCID: write storage/partition/class with 32-bit numbers and no leading zeros")

// BCID is a Biometric Class ID: it names one enrolled person, or with class 0 a whole partition.
// It is comparable, and the zero value names nobody.
type BCID struct {
	// Storage is the name of the template storage: ASCII letters, digits and underscores (documented: "a word").
	Storage string
	// Partition is the part of the storage that belongs to one application (documented: a 32-bit integer).
	Partition int32
	// Class is the person. 0 stands for the whole partition; negative values occur in the wild (observed).
	Class int32
}

// ParseBCID reads a BCID in either notation of the service, storage/partition/class or storage.partition.class.
// It accepts canonical numbers only, without leading zeros or a plus sign, so that two spellings never name one person.
func ParseBCID(s string) (BCID, error) {
	storage, rest := cutPart(s)
	if !isStorage(storage) {
		return BCID{}, ErrInvalidBCID
	}
	partition, class := cutPart(rest)
	p, ok := parseInt32(partition)
	if !ok {
		return BCID{}, ErrInvalidBCID
	}
	c, ok := parseInt32(class)
	if !ok {
		return BCID{}, ErrInvalidBCID
	}
	return BCID{Storage: storage, Partition: p, Class: c}, nil
}

// IsZero reports whether b names nothing at all.
func (b BCID) IsZero() bool { return b == BCID{} }

// IsPerson reports whether b names one person rather than nothing or a whole partition.
func (b BCID) IsPerson() bool { return b.Storage != "" && b.Class != 0 }

// SamePartition reports whether b and other lie in the same partition of the same storage.
func (b BCID) SamePartition(other BCID) bool {
	return b.Storage == other.Storage && b.Partition == other.Partition
}

// String returns the notation that results and token claims use, storage/partition/class, and "" for the zero value.
func (b BCID) String() string {
	return string(b.Append(make([]byte, 0, len(b.Storage)+len("/-2147483648/-2147483648"))))
}

// Append appends what [BCID.String] returns.
func (b BCID) Append(to []byte) []byte {
	if b.IsZero() {
		return to
	}
	to = append(to, b.Storage...)
	to = append(to, '/')
	to = strconv.AppendInt(to, int64(b.Partition), 10)
	to = append(to, '/')
	return strconv.AppendInt(to, int64(b.Class), 10)
}

// cutPart cuts s at the first separator. Without one, the rest is empty, which no part of a BCID may be.
func cutPart(s string) (part, rest string) {
	i := strings.IndexAny(s, "./")
	if i == -1 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func isStorage(s string) bool {
	if s == "" || len(s) > maxStorageLength {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// parseInt32 accepts only what strconv would print again, which rules out +1, 01 and -0.
func parseInt32(s string) (int32, bool) {
	n, err := strconv.ParseInt(s, 10, 32)
	var printed [len("-2147483648")]byte
	return int32(n), err == nil && string(strconv.AppendInt(printed[:0], n, 10)) == s
}
