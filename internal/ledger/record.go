package ledger

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// recordVersion is written into every record; a record of another version is not read.
	recordVersion = 1
	// maxRecord is far above the length of any record.
	maxRecord = 1024
	// maxKeyLife bounds what a record may claim about the life of a key.
	maxKeyLife = 400 * 24 * time.Hour
)

// errCorrupt says nothing of what was read: it may be part of a key.
var errCorrupt = errors.New("not a record of this version")

// markRecord is the content of a claim or a revocation. Whatever decides anything is in the name already, so that one listing
// tells all; the content is for whoever looks into the storage.
type markRecord struct {
	Version int   `json:"v"`
	End     int64 `json:"end"`
}

// keyRecord is a key. It is never changed once it is stored.
type keyRecord struct {
	Version int      `json:"v"`
	End     int64    `json:"end"` // open_until
	UseFrom int64    `json:"use_from"`
	Secret  [32]byte `json:"key"`
}

func encodeMark(end time.Time) ([]byte, error) {
	return json.Marshal(markRecord{Version: recordVersion, End: end.Unix()})
}

func encodeKey(k *Key) ([]byte, error) {
	return json.Marshal(keyRecord{Version: recordVersion, End: k.OpenUntil.Unix(), UseFrom: k.UseFrom.Unix(), Secret: k.secret})
}

// decodeKey refuses whatever encodeKey does not write.
func decodeKey(id KeyID, data []byte) (*Key, error) {
	if len(data) > maxRecord {
		return nil, errCorrupt
	}
	var record keyRecord
	if err := json.Unmarshal(data, &record, json.RejectUnknownMembers(true)); err != nil {
		return nil, errCorrupt
	}
	life := int64(maxKeyLife / time.Second)
	switch {
	case record.Version != recordVersion,
		record.Secret == [32]byte{},
		record.UseFrom <= 0,
		record.End <= record.UseFrom,
		record.End-record.UseFrom > life:
		return nil, errCorrupt
	}
	return &Key{
		ID:        id,
		UseFrom:   time.Unix(record.UseFrom, 0).UTC(),
		OpenUntil: time.Unix(record.End, 0).UTC(),
		secret:    record.Secret,
	}, nil
}
