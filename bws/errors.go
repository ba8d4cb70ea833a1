package bws

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// The kinds of errors that a call to the service can end with. Tell them apart with [errors.Is].
var (
	// ErrNoResult means that nobody has performed the token's operation yet: status 204 (documented).
	ErrNoResult = errors.New("no operation has been performed with this token yet")
	// ErrTokenRejected means that the service does not accept the token: status 400 (documented).
	ErrTokenRejected = errors.New("the service rejects the token")
	// ErrUnauthorized means that the service does not accept the App-ID and App-Secret: status 401 (documented) or 403 (observed).
	ErrUnauthorized = errors.New("the service rejects the App-ID or the App-Secret: check both")
	// ErrUnavailable means that there was no answer because of the network or the TLS handshake, or status 429 or 5xx.
	ErrUnavailable = errors.New("the service is unavailable")
	// ErrTimeout means that the answer was not complete within the timeout of the client or the deadline of the context.
	ErrTimeout = errors.New("the service did not answer in time")
	// ErrInvalidResponse means that the answer is not one the API documents: a redirect, any other status or a bad body.
	ErrInvalidResponse = errors.New("the service gave an answer that its API does not document")
)

// Error is the error of all calls to the service. Its text never holds anything secret or anything the service sent.
type Error struct {
	// Kind is one of the errors above, or [context.Canceled] if the caller's context was canceled.
	Kind error
	// API is the part of the API that was called: "result", "token" or "status".
	API string
	// Status is the HTTP status of the answer, 0 if there was none.
	Status int
	// Connect says that no connection was made, so nothing was sent and repeating the call is safe.
	Connect bool
	// Stale says that the connection had served other calls and broke off without any answer to this one. Most likely the
	// service closed it before it saw the call, so repeating the call is safe.
	Stale bool

	detail string
}

// Error names the API, the kind, the status and what else is safe to tell.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bws %s: %v", e.API, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (status %d)", e.Status)
	}
	if e.detail != "" {
		b.WriteString(": " + e.detail)
	}
	return b.String()
}

// Unwrap returns the kind. The cause is left out on purpose: the texts of net/http quote URLs and answers.
func (e *Error) Unwrap() error { return e.Kind }

// statusError returns the error for an answer with any status but 200.
func statusError(api string, status int) *Error {
	e := &Error{Kind: ErrInvalidResponse, API: api, Status: status}
	switch {
	case api == apiResult && status == http.StatusNoContent:
		e.Kind = ErrNoResult
	case api == apiResult && status == http.StatusBadRequest:
		e.Kind = ErrTokenRejected
	case api == apiToken && status == http.StatusBadRequest:
		e.detail = "it refuses the parameters, check the BCID and the task"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Kind = ErrUnauthorized
	case status == http.StatusTooManyRequests || status >= 500 && status <= 599:
		e.Kind = ErrUnavailable
	}
	return e
}

// invalidResponse returns the error for a 200 whose header or body is wrong.
func invalidResponse(api, detail string) *Error {
	return &Error{Kind: ErrInvalidResponse, API: api, Status: http.StatusOK, detail: detail}
}

// exchangeError returns the error for an exchange that broke off with cause. The status is 0 unless the body was being read.
func exchangeError(ctx context.Context, api string, status int, p *progress, cause error) *Error {
	e := &Error{API: api, Status: status, Connect: p.asked.Load() && !p.connected.Load()}
	switch err := ctx.Err(); {
	case errors.Is(err, context.Canceled):
		e.Kind = context.Canceled
		return e
	case errors.Is(err, context.DeadlineExceeded):
		e.Kind = ErrTimeout
		return e
	}
	e.Kind, e.detail = ErrUnavailable, networkDetail(cause)
	e.Stale = p.reused.Load() && !p.answered.Load()
	switch {
	case e.detail != "":
	case e.Connect:
		e.detail = "no connection through the proxy or no TLS handshake"
	case p.answered.Load():
		e.Kind, e.detail = ErrInvalidResponse, "malformed HTTP response"
	default:
		e.detail = "broken connection"
	}
	return e
}

// networkDetail describes causes whose text is known to hold nothing but our configuration and words of Go and the system.
// It returns "" for all others, because many quote what the server or the proxy sent, certificates included.
func networkDetail(cause error) string {
	if dns, ok := errors.AsType[*net.DNSError](cause); ok {
		return "lookup of " + dns.Name + ": " + dns.Err
	}
	if detail := certificateDetail(cause); detail != "" {
		return detail
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](cause); ok {
		return "the server does not speak TLS"
	}
	if errors.Is(cause, io.EOF) || errors.Is(cause, io.ErrUnexpectedEOF) {
		return "the connection was closed too early"
	}
	op, ok := errors.AsType[*net.OpError](cause)
	if !ok {
		return ""
	}
	// A TLS alert: crypto/tls has a fixed text for each number.
	if op.Op == "remote error" || op.Op == "local error" {
		return op.Op + ": " + op.Err.Error()
	}
	what := op.Op
	if op.Addr != nil {
		what += " " + op.Addr.String()
	}
	if errno, ok := errors.AsType[syscall.Errno](op); ok {
		return what + ": " + errno.Error()
	}
	if op.Timeout() {
		return what + ": timed out"
	}
	return what + " failed"
}

func certificateDetail(cause error) string {
	if host, ok := errors.AsType[x509.HostnameError](cause); ok {
		return "the certificate is not valid for " + host.Host
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](cause); ok {
		return "the certificate is signed by an unknown authority"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](cause); ok && invalid.Reason == x509.Expired {
		return "the certificate has expired or is not valid yet"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](cause); ok {
		return "the certificate is not valid"
	}
	return ""
}
