package caddybws

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the page's markup and style
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-bws/caddy-bws/internal/policy"
)

//go:embed page.html
var pageMarkup string

//go:embed page.css
var pageStyle string

var page = template.Must(template.New("page").Parse(pageMarkup))

// pageSecurity allows the page nothing but its own style, and nobody to frame it.
var pageSecurity = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// pageContent is what a page says.
type pageContent struct {
	Title, Text string
	Status      int
	Reason      policy.Reason
	// Retry offers to load the page again, Detour does it.
	Retry, Detour bool
	// Login is the URL that begins a login by a click, if the gate has logins.
	Login string
	Style template.CSS
}

// writePage answers a browser that wants to show something.
func (d refusal) writePage(w http.ResponseWriter, r *http.Request) error {
	return d.writeContent(w, r, &pageContent{Title: d.title, Text: d.text, Retry: d.retryAfter > 0, Login: d.login})
}

// writeDetour has a browser load the page again, this time not from another site.
func (d refusal) writeDetour(w http.ResponseWriter, r *http.Request) error {
	return d.writeContent(w, r, &pageContent{Title: "One moment", Text: "Your browser is taken to the page.", Detour: true})
}

func (d refusal) writeContent(w http.ResponseWriter, r *http.Request, content *pageContent) error {
	var body bytes.Buffer
	content.Status, content.Reason, content.Style = d.status, d.reason, template.CSS(pageStyle) //nolint:gosec // our own file
	err := page.Execute(&body, content)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Security-Policy", pageSecurity)
	header.Set("Referrer-Policy", "no-referrer")
	return d.write(w, r, "text/html; charset=utf-8", body.Bytes())
}

// problem is an RFC 9457 problem with the members of the gate's own.
type problem struct {
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Detail string        `json:"detail"`
	Reason policy.Reason `json:"reason"`
	MaxAge int           `json:"max_age,omitempty"`
	Login  string        `json:"login,omitempty"`
}

// writeProblem answers everything that is not a browser's navigation.
func (d refusal) writeProblem(w http.ResponseWriter, r *http.Request) error {
	body, err := json.Marshal(problem{
		Title:  http.StatusText(d.status),
		Status: d.status,
		Detail: strings.TrimSuffix(d.title, ".") + ". " + d.text,
		Reason: d.reason,
		MaxAge: d.maxAge,
		Login:  d.login,
	})
	if err != nil {
		return err
	}
	return d.write(w, r, "application/problem+json", append(body, '\n'))
}

func (d denial) write(w http.ResponseWriter, r *http.Request, contentType string, body []byte) error {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(d.status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(body)
	return err
}
