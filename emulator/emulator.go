// Package emulator puts an emulated BioID Web Service into Caddy, as the handler http.handlers.bws_emulator. It is for
// development and demonstrations: whoever can reach it chooses the outcome of every biometric operation.
package emulator

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bws/caddy-bws/bws"
	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

func init() {
	caddy.RegisterModule(Emulator{})
}

// services are the emulated services. They live in a pool, so that tokens and results survive reloads of the configuration.
var services = caddy.NewUsagePool()

// Emulator is a handler that answers as the BioID Web Service does, without any biometrics, **for development only**. Anyone who
// can reach it chooses the outcome of every operation: let it listen on the loopback interface, on a site of its own, and
// give `http://localhost:<port>/extension` as the endpoint to the service under development.
//
// Requests below `/extension`, and to the camera page at `/bws/performtask` and `/bws/uui`, are answered; all others are passed
// on. Enrolled people are recognized; any other outcome is chosen with the page's buttons, or with
// `POST /extension/emulator/outcome`, which is the emulator's own and no part of BWS:
//
//	{"bcid": "bws/1/42", "success": false, "error": "LiveDetectionFailed"}
//	{"token": "<BWS token>", "success": true, "matches": [{"bcid": "bws/1/42", "score": 0.9}]}
//
// Tokens, results, and enrolled people are kept in memory, and survive reloads as long as the options below stay the same. Two
// emulators with the same options are one service.
type Emulator struct {
	// The only application the service knows. Required, without a colon. Global placeholders are supported.
	AppID string `json:"app_id,omitempty"`

	// The application's secret. Required. Global placeholders are supported.
	AppSecret string `json:"app_secret,omitempty"`

	// The people who are known from the start, as BCIDs of the form storage/partition/class, class other than 0. In an
	// identification the first ones score highest. Default: nobody.
	Enrolled []string `json:"enrolled,omitempty"`

	service *service
	release func() error
}

// CaddyModule returns the Caddy module information.
func (Emulator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.bws_emulator",
		New: func() caddy.Module { return new(Emulator) },
	}
}

// Provision finds or creates the emulated service.
func (e *Emulator) Provision(ctx caddy.Context) error {
	appID, err := resolve("app_id", e.AppID)
	if err != nil {
		return err
	}
	if strings.Contains(appID, ":") {
		return errors.New("app_id contains a colon, which HTTP Basic authentication does not allow; remove it")
	}
	appSecret, err := resolve("app_secret", e.AppSecret)
	if err != nil {
		return err
	}
	people := make([]bws.BCID, len(e.Enrolled))
	for i, bcid := range e.Enrolled {
		if people[i], err = parsePerson(bcid); err != nil {
			return err
		}
	}
	key := keyOf(appID, appSecret, people)
	value, _, err := services.LoadOrNew(key, func() (caddy.Destructor, error) {
		s := bwstest.New(bwstest.Config{AppID: appID, AppSecret: appSecret})
		for _, person := range people {
			s.Enroll(person)
		}
		return &service{s}, nil
	})
	if err != nil {
		return err
	}
	e.service = value.(*service)
	e.release = sync.OnceValue(func() error {
		_, err := services.Delete(key)
		return err
	})
	ctx.Logger().Warn("this is an emulator of BWS, for development only: whoever can reach it chooses the outcome of every operation")
	return nil
}

// Cleanup lets go of the emulated service, which still answers requests that are under way.
func (e *Emulator) Cleanup() error {
	if e.release == nil {
		return nil
	}
	return e.release()
}

// ServeHTTP answers requests to the emulated service, and passes on all others.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	path := r.URL.Path
	if strings.HasPrefix(path, bwstest.Base+"/") || path == bwstest.PerformTask || path == bwstest.UUI {
		e.service.ServeHTTP(w, r)
		return nil
	}
	return next.ServeHTTP(w, r)
}

// service is an emulated service in the pool.
type service struct{ *bwstest.Service }

// Destruct implements caddy.Destructor. There is nothing to release.
func (*service) Destruct() error { return nil }

// serviceKey stands for the options of an emulator, of which one is secret.
type serviceKey [sha256.Size]byte

func keyOf(appID, appSecret string, people []bws.BCID) serviceKey {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q", appID, appSecret, people))
}

// resolve replaces the placeholders of a required option.
func resolve(option, value string) (string, error) {
	resolved, err := caddy.NewReplacer().ReplaceOrErr(value, true, true)
	if err != nil {
		return "", fmt.Errorf("%s: %v", option, err)
	}
	if resolved == "" {
		return "", missing(option)
	}
	return resolved, nil
}

func missing(option string) error {
	return errors.New(option + " is missing; give the one that the services under test have")
}

func parsePerson(s string) (bws.BCID, error) {
	person, err := bws.ParseBCID(s)
	if err != nil {
		return bws.BCID{}, fmt.Errorf("enrolled: %q is %v", s, err)
	}
	if !person.IsPerson() {
		return bws.BCID{}, fmt.Errorf("enrolled: %q is a whole partition; give a class other than 0", s)
	}
	return person, nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Emulator)(nil)
	_ caddy.CleanerUpper          = (*Emulator)(nil)
	_ caddyhttp.MiddlewareHandler = (*Emulator)(nil)
)
