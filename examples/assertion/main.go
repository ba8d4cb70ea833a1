// Command assertion is an app that lets in whom the gate has let in, and can tell. README.md in this folder goes on from here.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

// newApp is the app. It shows whom it takes a request for.
func newApp(v *verifier) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := v.verify(r)
		if err != nil {
			log.Printf("refused: %v", err)
			http.Error(w, "The gate has not let this request in.", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "Go: %s, by the face: %v, %d s ago at most\n", a.Subject, len(a.Methods) > 0, a.age(v.now())/time.Second)
	})
}

// age is how old the biometric act can be by now: an assertion says how old it was when it was signed.
func (a *assertion) age(now time.Time) time.Duration {
	return max(0, now.Sub(a.IssuedAt.Time())) + time.Duration(a.Age)*time.Second
}

// setting returns an environment variable.
func setting(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }

func main() {
	v := &verifier{
		issuer:   setting("ISSUER", "http://localhost:8084"),
		audience: setting("AUDIENCE", "go.example"),
		keys:     &keySet{url: setting("KEYS_URL", "http://localhost:8084/.well-known/jwks.json")},
		now:      time.Now,
	}
	server := http.Server{Addr: "127.0.0.1:8085", Handler: newApp(v), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
