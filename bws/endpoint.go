package bws

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddy-bws/caddy-bws/internal/loopback"
)

// DefaultEndpoint is the public, multitenant installation of the service (documented).
const DefaultEndpoint = "https://bws.bioid.com/extension"

// ParseEndpoint reads the URL of an installation of the service and returns its one normal form: scheme and host in lower
// case, without the default port, path cleaned and without a trailing slash. It must be https, or http for a loopback
// address, without user, query or fragment. Errors do not quote it, since it might hold credentials by mistake.
func ParseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return nil, errors.New("endpoint: not an absolute URL with a host, give one such as " + DefaultEndpoint)
	}
	switch {
	case u.User != nil:
		return nil, errors.New("endpoint: credentials do not belong in the URL, remove everything before the @")
	case strings.ContainsAny(s, "?#"):
		return nil, errors.New("endpoint: a query or fragment does not belong in the URL, remove it")
	}
	host, ok := normalHost(u)
	if !ok {
		return nil, errors.New("endpoint: the port is not a number from 1 to 65535, correct it")
	}
	switch u.Scheme {
	case "https":
	case "http":
		if !loopback.Is(u.Hostname()) {
			return nil, errors.New("endpoint: http is for loopback addresses only, use https")
		}
	default:
		return nil, errors.New("endpoint: the scheme is neither https nor http, use https")
	}
	u.Host = host
	u = u.JoinPath()
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// normalHost returns host and port in lower case, without the default port of the scheme. It is not ok if the port is out of range.
func normalHost(u *url.URL) (normal string, ok bool) {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", false
		}
		if n != 443 && u.Scheme == "https" || n != 80 && u.Scheme == "http" {
			return net.JoinHostPort(host, strconv.FormatUint(n, 10)), true
		}
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host, true
}
