package bws

import (
	"errors"
	"strings"
	"testing"
)

func TestParseBCID(t *testing.T) {
	for _, test := range []struct {
		in   string
		want BCID
	}{
		{"bioid/9876/12345", BCID{"bioid", 9876, 12345}},
		{"bioid.9876.12345", BCID{"bioid", 9876, 12345}},
		{"bioid.9876/12345", BCID{"bioid", 9876, 12345}},
		{"bioid/9876/0", BCID{"bioid", 9876, 0}},
		{"bioid/0/0", BCID{"bioid", 0, 0}},
		{"b_1/-5/-1", BCID{"b_1", -5, -1}},
		{"_/2147483647/-2147483648", BCID{"_", 2147483647, -2147483648}},
		{strings.Repeat("a", 64) + "/1/1", BCID{strings.Repeat("a", 64), 1, 1}},
	} {
		got, err := ParseBCID(test.in)
		if err != nil || got != test.want {
			t.Errorf("ParseBCID(%q) = %+v, %v; want %+v", test.in, got, err, test.want)
		}
		if again, err := ParseBCID(got.String()); err != nil || again != got {
			t.Errorf("ParseBCID(%q) = %+v, %v; want %+v", got, again, err, got)
		}
	}
}

func TestParseBCIDRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty":                           "",
		"one part":                        "bioid",
		"two parts":                       "bioid/9876",
		"four parts":                      "bioid/9876/1/2",
		"empty storage":                   "/9876/1",
		"empty partition":                 "bioid//1",
		"empty class":                     "bioid/9876/",
		"leading zero":                    "bioid/9876/01",
		"leading zero, negative":          "bioid/9876/-01",
		"negative zero":                   "bioid/9876/-0",
		"plus":                            "bioid/+9876/1",
		"two signs":                       "bioid/9876/--1",
		"sign alone":                      "bioid/9876/-",
		"beyond Int32":                    "bioid/9876/2147483648",
		"below Int32":                     "bioid/9876/-2147483649",
		"hexadecimal":                     "bioid/0x1/1",
		"underscore in a number":          "bioid/9_8/1",
		"digits of another script":        "bioid/9876/١",
		"space":                           "bioid/9876/1 ",
		"star":                            "bioid/9876/*",
		"hyphen in storage":               "bio-id/9876/1",
		"storage too long":                strings.Repeat("a", 65) + "/1/1",
		"case 9: header injection":        "bioid/9876/1\r\nX-Admin: 1",
		"case 10: placeholder":            "{env.BWS_SECRET}/9876/1",
		"case 11: NUL":                    "bioid/9876/1\x00",
		"case 11: DEL":                    "bio\x7fid/9876/1",
		"case 11: right-to-left override": "bio\u202eid/9876/1",
		"case 11: zero width":             "bioid/9876/1\u200b",
		"case 11: replacement character":  "bio\ufffdid/9876/1",
		"case 11: not UTF-8":              "bio\xffid/9876/1",
		"case 11: 1 MB":                   strings.Repeat("a", 1<<20) + "/1/1",
		"case 11: 1 MB of digits":         "bioid/1/" + strings.Repeat("1", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseBCID(in); !errors.Is(err, ErrInvalidBCID) || !got.IsZero() {
				t.Errorf("got %+v, %v; want %v", got, err, ErrInvalidBCID)
			}
		})
	}
}

func TestBCID(t *testing.T) {
	var nobody BCID
	person := BCID{"bioid", 9876, 12345}
	partition := BCID{"bioid", 9876, 0}
	if !nobody.IsZero() || nobody.IsPerson() || nobody.String() != "" {
		t.Errorf("the zero value is somebody: %q", nobody)
	}
	if person.IsZero() || !person.IsPerson() || !(BCID{"bioid", 0, -1}).IsPerson() {
		t.Error("a person is not a person")
	}
	if partition.IsPerson() || partition.IsZero() || (BCID{Class: 1}).IsPerson() {
		t.Error("a partition, or a class without storage, is a person")
	}
	if !person.SamePartition(partition) {
		t.Error("a person is not in the person's partition")
	}
	if person.SamePartition(BCID{"bioid", 9877, 12345}) || person.SamePartition(BCID{"BIOID", 9876, 12345}) {
		t.Error("different partitions count as one")
	}
}

func TestBCIDString(t *testing.T) {
	for want, b := range map[string]BCID{
		"bioid/9876/12345": {"bioid", 9876, 12345}, "b/-1/0": {"b", -1, 0}, "/0/1": {"", 0, 1}, "": {},
	} {
		if got := b.String(); got != want {
			t.Errorf("%#v: got %q, want %q", b, got, want)
		}
	}
}

func TestStorageCharacters(t *testing.T) {
	const word = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
	for c := range 256 {
		if got, want := isStorage(string([]byte{'x', byte(c)})), strings.IndexByte(word, byte(c)) >= 0; got != want {
			t.Errorf("%q: got %v", byte(c), got)
		}
	}
}

func TestParseBCIDDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _, _ = ParseBCID("bioid/-2147483648/2147483647") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseBCID(f *testing.F) {
	for _, s := range []string{
		"bioid/9876/12345", "bioid.9876.-1", "b/0/0", "b/-0/1", "b/01/1", "/1/1", "a/1/2147483648", "a\x00/1/1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBCID(s)
		if err != nil {
			if !b.IsZero() {
				t.Fatalf("%q: an error, and yet %+v", s, b)
			}
			return
		}
		if b.String() != strings.ReplaceAll(s, ".", "/") {
			t.Fatalf("%q is not canonical but accepted as %q", s, b)
		}
		if again, err := ParseBCID(b.String()); err != nil || again != b {
			t.Fatalf("%q: parsed again as %+v, %v", s, again, err)
		}
	})
}
