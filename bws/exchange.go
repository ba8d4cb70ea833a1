package bws

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
)

// The parts of the API, as in their paths and in [Error].
const (
	apiResult = "result"
	apiToken  = "token"
	apiStatus = "status"
)

const (
	acceptJSON = "application/json"
	acceptText = "text/plain"
	userAgent  = "caddy-bws"
)

// maxDrain is how much of an unwanted body is read so that the connection can be used again.
const maxDrain = 4 << 10

// get calls one part of the API and returns the body of a 200. The error is an [*Error].
func (c *Client) get(ctx context.Context, api, accept string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	p := new(progress)
	// RoundTrip rather than an http.Client, which would read Location, add Referer and keep credentials for a redirect.
	res, err := c.transport.RoundTrip(c.request(p.trace(ctx), api, accept, query))
	if err != nil {
		return nil, exchangeError(ctx, api, 0, p, err)
	}
	defer discard(res)
	if res.StatusCode != http.StatusOK {
		return nil, statusError(api, res.StatusCode)
	}
	if accept == acceptJSON && !isJSON(res.Header) {
		return nil, invalidResponse(api, "the content type is not JSON in UTF-8")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBodyLength+1))
	if err != nil {
		return nil, exchangeError(ctx, api, res.StatusCode, p, err)
	}
	if len(body) > maxBodyLength {
		return nil, invalidResponse(api, tooLong)
	}
	return body, nil
}

// request returns a GET request of one part of the API. It does without http.NewRequest, whose error would quote the URL.
func (c *Client) request(ctx context.Context, api, accept string, query url.Values) *http.Request {
	u := *c.endpoint
	u.Path += "/" + api
	if u.RawPath != "" {
		u.RawPath += "/" + api
	}
	u.RawQuery = query.Encode()
	r := &http.Request{
		Method: http.MethodGet,
		URL:    &u,
		Header: http.Header{"Accept": {accept}, "User-Agent": {userAgent}},
	}
	r.SetBasicAuth(c.appID, c.appSecret)
	return r.WithContext(ctx)
}

// discard closes the body of an answer. It reads a short rest first: only at the end of the body can the connection be used again.
func discard(res *http.Response) {
	// The body of a 101 is the connection itself, which no deadline guards any more.
	if res.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.CopyN(io.Discard, res.Body, maxDrain)
	}
	_ = res.Body.Close()
}

// isJSON reports whether the header announces JSON in UTF-8 as the service sends it, unambiguously.
func isJSON(h http.Header) bool {
	types := h.Values("Content-Type")
	if len(types) != 1 {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(types[0])
	if err != nil || mediaType != "application/json" && mediaType != "text/json" {
		return false
	}
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}

// progress records how far an exchange got. The errors of net/http do not tell.
type progress struct {
	asked, connected, reused, answered atomic.Bool
}

func (p *progress) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { p.asked.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) {
			p.connected.Store(true)
			p.reused.Store(info.Reused) // the latest counts: the transport may have replaced one that was closed
		},
		GotFirstResponseByte: func() { p.answered.Store(true) },
	})
}
