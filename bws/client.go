package bws

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// DefaultTimeout is how long a call may take if [Config] does not say.
const DefaultTimeout = 5 * time.Second

// Config is what a client needs to know about the service.
type Config struct {
	// Endpoint is the URL of the installation, with or without a trailing slash; see [ParseEndpoint]. Default: [DefaultEndpoint].
	Endpoint string
	// AppID identifies the application. Required; no colon, no control characters.
	AppID string
	// AppSecret goes with AppID. Required; no control characters.
	AppSecret string
	// Timeout bounds each call as a whole: connecting, TLS, header and body. Default: [DefaultTimeout].
	Timeout time.Duration
	// Transport carries the requests. Default: that of [NewTransport] with its zero configuration.
	// Redirects are never followed, whatever it is.
	Transport http.RoundTripper
}

// Client calls one installation of the service in the name of one application. It is safe for concurrent use.
type Client struct {
	endpoint  *url.URL
	appID     string
	appSecret string
	timeout   time.Duration
	transport http.RoundTripper
}

// NewClient checks cfg and returns a client. It sends nothing; [Client.Status] tells whether the service accepts the
// credentials. Errors name the field at fault and never show its value.
func NewClient(cfg Config) (*Client, error) {
	if cfg.Endpoint == "" {
		cfg.Endpoint = DefaultEndpoint
	}
	endpoint, err := ParseEndpoint(cfg.Endpoint)
	switch {
	case err != nil:
		return nil, err
	case cfg.AppID == "":
		return nil, errors.New("app_id: missing, give the App-ID that the service issued")
	case strings.Contains(cfg.AppID, ":"):
		return nil, errors.New("app_id: contains a colon, which basic authentication cannot carry; give the App-ID alone")
	case strings.ContainsFunc(cfg.AppID, unicode.IsControl):
		return nil, errors.New("app_id: contains a control character, perhaps a line break; remove it")
	case cfg.AppSecret == "":
		return nil, errors.New("app_secret: missing, give the App-Secret that the service issued")
	case strings.ContainsFunc(cfg.AppSecret, unicode.IsControl):
		return nil, errors.New("app_secret: contains a control character, perhaps a line break; remove it")
	case cfg.Timeout < 0:
		return nil, errors.New("timeout: negative, give a positive duration or none")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Transport == nil {
		cfg.Transport = NewTransport(TransportConfig{})
	}
	return &Client{
		endpoint:  endpoint,
		appID:     cfg.AppID,
		appSecret: cfg.AppSecret,
		timeout:   cfg.Timeout,
		transport: cfg.Transport,
	}, nil
}

// Endpoint returns the URL of the installation in its normal form.
func (c *Client) Endpoint() string { return c.endpoint.String() }

// AppID returns the App-ID.
func (c *Client) AppID() string { return c.appID }

// CloseIdleConnections closes the transport's idle connections, if it can.
func (c *Client) CloseIdleConnections() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
