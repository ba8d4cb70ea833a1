package bwstest

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the page's markup, style and script
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
)

// The paths of the camera page, as in https://www.bioid.com/bws/performtask (documented). Any prefix before them is ignored. Both
// show the same page, which expects access_token and return_url, and takes state and skipintro=true. From the newer path, UUI, the
// browser goes back with skipintro; from the older one without it, as BioID's page did until 2020 (documented; what its paths do
// today is unknown).
const (
	PerformTask = "/bws/performtask"
	UUI         = "/bws/uui"
)

// They are embedded into the page, so that it is a single document.
var (
	//go:embed capture.html
	captureMarkup string
	//go:embed capture.css
	captureStyle string
	//go:embed capture.js
	captureScript string
)

var captureTemplate = template.Must(template.New("capture").Parse(captureMarkup))

// capturePage is the page that takes a person through a biometric operation. It is the same document for every request: only its
// script reads the query, so there is nothing that an answer could reflect.
type capturePage struct {
	body     []byte
	security string
}

// emulatedPage is the page of a Service, which is next to the API.
var emulatedPage = newCapturePage(".."+Base, "'self'", true)

// CapturePage returns the camera page for the API at endpoint, such as https://bws.bioid.com/extension. The page uses nothing that
// only the emulator has, so endpoint may be the real service. Serve it with https or on the loopback interface: anywhere else
// browsers give it no camera. CapturePage panics if endpoint is no absolute URL.
func CapturePage(endpoint string) http.Handler {
	u := must(url.Parse(endpoint))
	if u.Scheme == "" || u.Host == "" {
		panic("bwstest: the endpoint is not an absolute URL")
	}
	return newCapturePage(endpoint, u.Scheme+"://"+u.Host, false)
}

// newCapturePage makes the page for the API at endpoint, whose origin is the only one it may call. Emulated says that the API
// lets anyone choose outcomes.
func newCapturePage(endpoint, origin string, emulated bool) *capturePage {
	var body bytes.Buffer
	err := captureTemplate.Execute(&body, struct {
		Endpoint string
		Emulated bool
		Style    template.CSS
		Script   template.JS
	}{endpoint, emulated, template.CSS(captureStyle), template.JS(captureScript)}) //nolint:gosec // our own files
	if err != nil {
		panic("bwstest: " + err.Error())
	}
	security := "default-src 'none'; script-src " + sourceHash(captureScript) + "; style-src " + sourceHash(captureStyle) +
		"; connect-src " + origin + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
	return &capturePage{body.Bytes(), security}
}

// sourceHash lets a Content-Security-Policy allow an inline script or style.
func sourceHash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// ServeHTTP answers with the page, whatever the path.
func (p *capturePage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "the page is loaded with GET")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(p.body)))
	h.Set("Content-Security-Policy", p.security)
	h.Set("Permissions-Policy", "camera=(self)")
	// The address holds the token.
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodGet {
		_, _ = w.Write(p.body)
	}
}
