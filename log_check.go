package caddybws

import (
	"bytes"
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logShowsTokens is legal, but hardly ever meant.
const logShowsTokens = "a log shows tokens: write \"format bws\" into the options of that log, which for the error log are those of the " +
	"global option log; headers other than X-BWS-Token take a line of their own, such as request>headers>My-Token delete"

// logInspection finds the logs that would show the tokens of requests to gates.
type logInspection struct {
	ctx caddy.Context
	// shown is what the loggers show.
	shown map[string][]string
}

// inspectLogs looks at the logs of a server that has access logs, for the tokens of all its gates or of one. The error log is one of
// them: it has the requests that have failed.
func inspectLogs(ctx caddy.Context, server *caddyhttp.Server, only *Gate) *logInspection {
	i := &logInspection{ctx: ctx, shown: make(map[string][]string)}
	inspectRoutes(server, func(g *Gate, at place) {
		if only == nil || g == only {
			i.gate(g, server.Logs, at.hosts)
		}
	})
	return i
}

// gate looks at the logs that the requests to a gate come to.
func (i *logInspection) gate(g *Gate, logs *caddyhttp.ServerLogConfig, hosts []string) {
	for _, name := range loggersOf(logs, hosts) {
		for _, logger := range []string{"http.log.access", "http.log.error"} {
			if name != "" {
				logger += "." + name
			}
			for what, r := range g.marked() {
				if !slices.Contains(i.shown[logger], what) && i.shows(logger, r, logs.ShouldLogCredentials) {
					i.shown[logger] = append(i.shown[logger], what)
					slices.Sort(i.shown[logger])
				}
			}
		}
	}
}

// loggersOf returns the names that a server gives the loggers of these hosts, or of all if there are none; "" is the one without.
func loggersOf(logs *caddyhttp.ServerLogConfig, hosts []string) (names []string) {
	if logs == nil {
		return nil
	}
	if len(hosts) == 0 {
		hosts = append(slices.Collect(maps.Keys(logs.LoggerNames)), "")
	}
	for _, host := range hosts {
		mapped, matches := false, func(pattern string) bool { return certmagic.MatchWildcard(host, pattern) }
		for pattern, those := range logs.LoggerNames {
			if matches(pattern) {
				mapped, names = true, append(names, those...)
			}
		}
		if !mapped && !logs.SkipUnmappedHosts && !slices.ContainsFunc(logs.SkipHosts, matches) {
			names = append(names, logs.DefaultLoggerName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// mark stands for a token.
const mark = "bws-token-in-a-log"

// marked returns requests with a mark where the gate takes its tokens from, by what they would show.
func (g *Gate) marked() map[string]*http.Request {
	requests := make(map[string]*http.Request)
	add := func(what, uri, header, value string) {
		requests[what] = &http.Request{Method: http.MethodGet, RequestURI: uri, Header: http.Header{header: {value}}}
	}
	for _, source := range slices.Concat(g.secureSources, g.plainSources) {
		value := mark
		if source.Cookie != "" {
			value = source.Cookie + "=" + mark
		}
		add(source.String(), "/", source.headerName(), value)
	}
	if g.sessions != nil {
		for _, cookie := range []string{g.sessions.secure.name, g.sessions.plain.name} {
			add("cookie "+cookie, "/", "Cookie", cookie+"="+mark)
		}
	}
	if g.login != nil {
		add("login", "/?access_token="+mark, "Accept", "text/html")
	}
	return requests
}

// shows reports whether a logger would show the mark in a request. It asks the encoders of the logs behind the logger, and writes
// nothing.
func (i *logInspection) shows(logger string, r *http.Request, credentials bool) bool {
	p := &logProbe{request: zap.Object("request", caddyhttp.LoggableHTTPRequest{
		Request: r.WithContext(i.ctx), ShouldLogCredentials: credentials,
	})}
	// A logger hands its own fields to the encoder of each of its logs at once.
	loggerNamed(i.ctx, logger).With(zap.Inline(p))
	return p.shown
}

// logProbe is a field by which a log shows its encoder.
type logProbe struct {
	request zap.Field
	shown   bool
}

// MarshalLogObject has the encoder encode the request, and looks at what it makes of it.
func (p *logProbe) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	encoder, ok := enc.(zapcore.Encoder)
	if !ok {
		return nil
	}
	line, err := encoder.EncodeEntry(zapcore.Entry{}, []zap.Field{p.request})
	if err != nil {
		return nil //nolint:nilerr // it writes nothing
	}
	p.shown = p.shown || bytes.Contains(line.Bytes(), []byte(mark))
	line.Free()
	return nil
}

// hostsOf returns the hosts that a route is for, and nil if it does not say so.
func hostsOf(route *caddyhttp.Route) (hosts []string) {
	for _, set := range route.MatcherSets {
		named := false
		for _, matcher := range set {
			switch m := matcher.(type) {
			case *caddyhttp.MatchHost:
				named, hosts = true, append(hosts, *m...)
			case caddyhttp.MatchHost:
				named, hosts = true, append(hosts, m...)
			}
		}
		if !named {
			return nil
		}
	}
	return hosts
}

// Interface guards
var _ zapcore.ObjectMarshaler = (*logProbe)(nil)
