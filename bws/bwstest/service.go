package bwstest

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddy-bws/caddy-bws/bws"
)

// Base is the path below which a Service answers, as in https://bws.bioid.com/extension. Any prefix before it is ignored.
const Base = "/extension"

// The credentials of a Service that was not given others.
const (
	AppID     = "1234567890.bws.emulator"
	AppSecret = "emulator-secret"
)

// Config describes the service to emulate. The zero value is ready to use.
type Config struct {
	// AppID is the only application the service knows. Default: [AppID].
	AppID string
	// AppSecret is the application's secret. Default: [AppSecret].
	AppSecret string
	// Label is how the service names itself on /status. Default: "BWS emulator".
	Label string
	// Storage and Partition are what /status reports as the application's own. Tokens are issued for others as well.
	// Default: bws and 1.
	Storage   string
	Partition int32
	// Now is the clock that tokens are issued and judged by. Scripted delays take real time. Default: [time.Now].
	Now func() time.Time
}

// Service is an emulated BWS. It is safe for concurrent use. Create it with [New].
type Service struct {
	cfg    Config
	signer signer
	script script

	mu       sync.Mutex
	tokens   tokens
	pending  []pending
	enrolled []bws.BCID
}

// New returns a service where nobody is enrolled. Its signing key is random: no other service takes its tokens.
func New(cfg Config) *Service {
	if cfg.AppID == "" {
		cfg.AppID = AppID
	}
	if cfg.AppSecret == "" {
		cfg.AppSecret = AppSecret
	}
	if cfg.Label == "" {
		cfg.Label = "BWS emulator"
	}
	if cfg.Storage == "" {
		cfg.Storage = "bws"
	}
	if cfg.Partition == 0 {
		cfg.Partition = 1
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Service{cfg: cfg, signer: newSigner(), tokens: newTokens()}
}

// api is one path of the service.
type api struct {
	method string
	serve  func(*Service, http.ResponseWriter, *http.Request)
	// browser says that pages of other origins may call it. They may if it takes a BWS token, but not if it takes the
	// App-Secret or chooses outcomes.
	browser bool
}

var apis = map[string]api{
	"/token":             {method: http.MethodGet, serve: (*Service).serveToken},
	"/result":            {method: http.MethodGet, serve: (*Service).serveResult},
	"/status":            {method: http.MethodGet, serve: (*Service).serveStatus},
	"/isenrolled":        {method: http.MethodGet, serve: (*Service).serveIsEnrolled},
	"/deleteclass":       {method: http.MethodDelete, serve: (*Service).serveDeleteClass},
	"/upload":            {method: http.MethodPost, serve: (*Service).serveUpload, browser: true},
	"/verify":            {method: http.MethodGet, serve: serveTask(bws.TaskVerify), browser: true},
	"/identify":          {method: http.MethodGet, serve: serveTask(bws.TaskIdentify), browser: true},
	"/enroll":            {method: http.MethodGet, serve: serveTask(bws.TaskEnroll), browser: true},
	"/livenessdetection": {method: http.MethodGet, serve: serveTask(bws.TaskLiveOnly), browser: true},
	"/emulator/outcome":  {method: http.MethodPost, serve: (*Service).serveOutcome},
}

// ServeHTTP answers requests below [Base] with what was scripted for them, or else as BWS does. It answers requests to
// [PerformTask] and [UUI] with the camera page.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, PerformTask) || strings.HasSuffix(r.URL.Path, UUI) {
		emulatedPage.ServeHTTP(w, r)
		return
	}
	_, path, _ := strings.Cut(r.URL.Path, Base)
	api, known := apis[path]
	if !known {
		refuse(w, http.StatusNotFound, "the service has no such API")
		return
	}
	if api.browser && shareAcrossOrigins(w, r, api.method) {
		return
	}
	if answer, scripted := s.script.next(path, r); scripted {
		answer.send(w, r)
		return
	}
	if r.Method != api.method {
		w.Header().Set("Allow", api.method)
		refuse(w, http.StatusMethodNotAllowed, "the API is called with "+api.method)
		return
	}
	api.serve(s, w, r)
}

// shareAcrossOrigins lets pages of any origin read the answer. If r is only a preflight, it answers that and reports true.
func shareAcrossOrigins(w http.ResponseWriter, r *http.Request, method string) (preflight bool) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", method)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

var _ http.Handler = (*Service)(nil)
