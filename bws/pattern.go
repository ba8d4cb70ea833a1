package bws

import (
	"errors"
	"strconv"
)

// ErrInvalidPattern is what [ParsePattern] returns for a pattern that could never match a person.
var ErrInvalidPattern = errors.New("not a BCID pattern: write storage/partition/class with 32-bit numbers, " +
	"no leading zeros and a class other than 0, or * for a part")

// Pattern matches BCIDs part by part: each part allows one value or any. The zero value matches nobody.
type Pattern struct {
	bcid                               BCID
	anyStorage, anyPartition, anyClass bool
}

// ParsePattern reads a pattern in the notation of a BCID with * for parts that may be anything: bioid/9876/*.
// A part that no BCID of a person could have (class 0, leading zeros, a number beyond 32 bits) is an error.
func ParsePattern(s string) (Pattern, error) {
	storage, rest := cutPart(s)
	partition, class := cutPart(rest)
	return PatternOf(storage, partition, class)
}

// PatternOf is [ParsePattern] for the three parts by themselves.
func PatternOf(storage, partition, class string) (Pattern, error) {
	var p Pattern
	if p.anyStorage = storage == "*"; !p.anyStorage {
		if !isStorage(storage) {
			return Pattern{}, ErrInvalidPattern
		}
		p.bcid.Storage = storage
	}
	var ok bool
	if p.anyPartition = partition == "*"; !p.anyPartition {
		if p.bcid.Partition, ok = parseInt32(partition); !ok {
			return Pattern{}, ErrInvalidPattern
		}
	}
	if p.anyClass = class == "*"; !p.anyClass {
		if p.bcid.Class, ok = parseInt32(class); !ok || p.bcid.Class == 0 {
			return Pattern{}, ErrInvalidPattern
		}
	}
	return p, nil
}

// PatternFor returns the pattern that matches exactly one person.
func PatternFor(person BCID) Pattern { return Pattern{bcid: person} }

// Match reports whether p matches b. It matches persons only: neither the zero BCID nor a whole partition.
func (p Pattern) Match(b BCID) bool {
	return b.IsPerson() &&
		(p.anyStorage || p.bcid.Storage == b.Storage) &&
		(p.anyPartition || p.bcid.Partition == b.Partition) &&
		(p.anyClass || p.bcid.Class == b.Class)
}

// BCID returns the one person p matches, and false if it may match several.
func (p Pattern) BCID() (BCID, bool) {
	one := !p.anyStorage && !p.anyPartition && !p.anyClass && p.bcid.IsPerson()
	return p.bcid, one
}

// String returns the pattern in the notation of [ParsePattern].
func (p Pattern) String() string {
	part := func(wild bool, value string) string {
		if wild {
			return "*"
		}
		return value
	}
	return part(p.anyStorage, p.bcid.Storage) + "/" +
		part(p.anyPartition, strconv.Itoa(int(p.bcid.Partition))) + "/" +
		part(p.anyClass, strconv.Itoa(int(p.bcid.Class)))
}
