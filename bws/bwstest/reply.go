package bwstest

import (
	"net/http"

	"github.com/go-json-experiment/json"
)

const contentTypeJSON = "application/json; charset=utf-8"

// reply answers with v as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		// Only what a test put into an outcome can be impossible to encode, such as a score that is not a number.
		status, body = http.StatusInternalServerError, []byte(`{"Message":"the chosen outcome has no JSON form"}`)
	}
	w.Header().Set("Content-Type", contentTypeJSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// refuse answers with an error in the form of the service.
func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, struct{ Message string }{message})
}
