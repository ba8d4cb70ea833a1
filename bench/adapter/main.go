// Command adapter is what one writes today to protect a route of Caddy with BWS: a small server that forward_auth asks about
// each request. It takes the token from the cookie and asks /result, without a cache, and below /cached with one.
//
// It is here to be measured beside the gate, and is less: it has no policy beyond Success, no limits, no breaker, and its cache
// grows for ever.
package main

import (
	"flag"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
)

// ttl is how long a success is remembered, as long as the gate does in the comparison.
const ttl = 10 * time.Minute

func main() {
	listen := flag.String("listen", "127.0.0.1:9498", "where to listen")
	endpoint := flag.String("endpoint", bws.DefaultEndpoint, "where BWS is")
	id := flag.String("id", "", "the App-ID")
	secret := flag.String("secret", "", "the App-Secret")
	flag.Parse()

	client, err := bws.NewClient(bws.Config{Endpoint: *endpoint, AppID: *id, AppSecret: *secret})
	if err != nil {
		log.Fatal(err)
	}
	a := &adapter{client: client}
	http.HandleFunc("/", a.ask)
	http.HandleFunc("/cached", a.recall)
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: time.Minute}
	log.Fatal(server.ListenAndServe())
}

type adapter struct {
	client *bws.Client
	known  sync.Map // of token to success
}

type success struct {
	bcid  string
	until time.Time
}

// ask lets a request pass if BWS says that its token is a success.
func (a *adapter) ask(w http.ResponseWriter, r *http.Request) {
	token, err := r.Cookie("bws_token")
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	result, err := a.client.Result(r.Context(), token.Value)
	if err != nil || !result.Success || result.Action != bws.Verification {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	bcid := result.BCID.String()
	if r.URL.Path == "/cached" {
		a.known.Store(token.Value, success{bcid, time.Now().Add(ttl)})
	}
	w.Header().Set("X-Bws-Bcid", bcid)
}

// recall does the same, and asks only if it does not remember a success.
func (a *adapter) recall(w http.ResponseWriter, r *http.Request) {
	if token, err := r.Cookie("bws_token"); err == nil {
		if known, ok := a.known.Load(token.Value); ok && time.Now().Before(known.(success).until) {
			w.Header().Set("X-Bws-Bcid", known.(success).bcid)
			return
		}
	}
	a.ask(w, r)
}
