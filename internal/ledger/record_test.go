package ledger

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

var testKey = &Key{
	ID: KeyID{1, 2, 3}, UseFrom: time.Unix(1800000000, 0).UTC(), OpenUntil: time.Unix(1802678460, 0).UTC(), secret: token(1),
}

func TestKeyRecord(t *testing.T) {
	data, err := encodeKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"end":1802678460,"use_from":1800000000,"key":"` + base64.StdEncoding.EncodeToString(testKey.secret[:]) + `"}`
	if string(data) != want {
		t.Errorf("encoded as %s", data)
	}
	got, err := decodeKey(testKey.ID, data)
	if err != nil || *got != *testKey {
		t.Errorf("decoded as %v, %v", got, err)
	}
}

func TestDecodeKeyRefuses(t *testing.T) {
	valid, _ := encodeKey(testKey)
	with := func(old, new string) string {
		changed := strings.Replace(string(valid), old, new, 1)
		if changed == string(valid) {
			t.Fatalf("%q does not occur", old)
		}
		return changed
	}
	secret := base64.StdEncoding.EncodeToString(testKey.secret[:])
	for name, data := range map[string]string{
		"nothing":           "",
		"no object":         "[]",
		"null":              "null",
		"empty":             "{}",
		"cut":               string(valid[:len(valid)-1]),
		"trailing":          string(valid) + "{}",
		"too long":          string(valid) + strings.Repeat(" ", maxRecord),
		"another version":   with(`"v":1`, `"v":2`),
		"no version":        with(`"v":1,`, ``),
		"repeated":          with(`"v":1`, `"v":1,"v":1`),
		"in capitals":       with(`"key"`, `"Key"`),
		"unknown":           with(`"v":1`, `"v":1,"w":1`),
		"ends before it is": with(`"end":1802678460`, `"end":1800000000`),
		"never ends":        with(`"end":1802678460`, `"end":9000000000`),
		"overflows":         with(`"end":1802678460`, `"end":9223372036854775807`),
		"before 1970":       with(`"use_from":1800000000`, `"use_from":-1`),
		"no use_from":       with(`"use_from":1800000000,`, ``),
		"fraction":          with(`1800000000`, `1800000000.5`),
		"short key":         with(secret, secret[:40]),
		"long key":          with(secret, "AAAA"+secret),
		"odd key":           with(secret, "!"+secret[1:]),
		"no key":            with(`,"key":"`+secret+`"`, ""),
		"zero key":          with(secret, base64.StdEncoding.EncodeToString(make([]byte, 32))),
	} {
		if k, err := decodeKey(testKey.ID, []byte(data)); err != errCorrupt || k != nil {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		for _, v := range []any{testKey, *testKey, []*Key{testKey}, []Key{*testKey}, struct{ K Key }{*testKey}} {
			printed := fmt.Sprintf(verb, v)
			for _, secret := range []string{fmt.Sprintf("%x", testKey.secret[:4]), fmt.Sprintf("%v", testKey.secret[:4]), string(testKey.secret[:4])} {
				if strings.Contains(printed, strings.Trim(secret, "[]")) {
					t.Errorf("%s of a %T prints the secret: %s", verb, v, printed)
				}
			}
		}
	}
}

func FuzzDecodeKey(f *testing.F) {
	valid, _ := encodeKey(testKey)
	f.Add(valid)
	f.Add(bytes.Replace(valid, []byte(`"v":1`), []byte(`"v":1,"v":1`), 1))
	f.Add([]byte(`{"v":1,"end":2,"use_from":1,"key":"AAAA"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := decodeKey(KeyID{}, data)
		if err != nil {
			if k != nil || err != errCorrupt {
				t.Fatalf("%v, %v", k, err)
			}
			return
		}
		if !k.UseFrom.Before(k.OpenUntil) || k.OpenUntil.Sub(k.UseFrom) > maxKeyLife || k.secret == [32]byte{} {
			t.Fatalf("decoded %s to a key from %v to %v", data, k.UseFrom, k.OpenUntil)
		}
		again, err := encodeKey(k)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := decodeKey(KeyID{}, again); err != nil || *same != *k {
			t.Fatalf("%s is not the same as %s", again, data)
		}
	})
}

// FuzzListings feeds one line each as a listed entry to whatever reads listings.
func FuzzListings(f *testing.F) {
	root := rootOf(serviceID)
	spent, revoked, keys := root.child(spentArea), root.child(revokedArea), root.child(keysArea).child("session")
	bucket := spent.child("29000000").child(strings.Repeat("ab", 32))
	f.Add(bucket.child(strings.Repeat("01", claimSize)).path)
	f.Add(revoked.child("29000000").child(revocationName(OfPerson(person("bioid/1/2")), 29000000*60+7)).path + "/")
	f.Add(revoked.child("29000000").child(revocationName(OfPerson(person("bioid/1/2")), 29000000*60+7)).child(markName).path)
	f.Add(keys.child(testKey.ID.String()).path)
	f.Add("certificates/acme/example.com")
	f.Add(revoked.path + "/29000000/" + strings.Repeat("0", 32) + "-" + strings.Repeat("9", 30))
	f.Fuzz(func(t *testing.T, listed string) {
		if name := parseClaim(bucket, listed); name != "" && bucket.child(name) == (location{}) {
			t.Errorf("a claim named %q", name)
		}
		if s, created, ok := parseRevocation(revoked, listed); ok {
			entry := revoked.child(minute(created / 60).String()).child(revocationName(s, created))
			rest, found := strings.CutPrefix(strings.TrimSuffix(listed, "/"), entry.path)
			if mark := strings.TrimPrefix(rest, "/"); !found || strings.Contains(mark, "/") || mark != "" && mark == rest {
				t.Errorf("%q is taken for %q", listed, entry.path)
			}
		}
		if id, ok := parseKeyID(keys, listed); ok && keys.child(id.String()).path != strings.TrimSuffix(listed, "/") {
			t.Errorf("a key called %v", id)
		}
		for m := range minutesIn(spent, []string{listed}) {
			if !spent.child(m.String()).isEntry() || !strings.HasPrefix(listed, spent.child(m.String()).path) {
				t.Errorf("a bucket called %v", m)
			}
		}
	})
}
