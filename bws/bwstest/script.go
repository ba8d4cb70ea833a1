package bwstest

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Answer is what the service sends in place of its own answer. It can be any fault or forgery.
type Answer struct {
	// Status of the answer. Default: 200.
	Status int
	// Header is added to the answer. Without a Content-Type here it is application/json; a Content-Type of nil is left out.
	Header http.Header
	// Body is sent as it is. If the status allows no body, it breaks the connection: use Raw to send one all the same.
	Body []byte
	// Delay is waited before anything is sent.
	Delay time.Duration
	// Drip is waited between the bytes of Body, or of Raw.
	Drip time.Duration
	// Raw, if not nil, is the whole answer with its status line. It is written to the connection, which is then closed. An empty
	// one closes the connection without an answer. It needs HTTP/1.1.
	Raw []byte
	// Hang never answers: it waits until the client goes away.
	Hang bool
}

// Request is what a client sent.
type Request struct {
	Method string
	// RawQuery is the query as it was on the wire, Query its decoded form.
	RawQuery string
	Query    url.Values
	Header   http.Header
}

// script is what the service has been told to answer, and what it has been asked.
type script struct {
	mu    sync.Mutex
	paths map[string]*scriptedPath
}

type scriptedPath struct {
	answers []Answer
	always  *Answer
	calls   int
	last    Request
}

// Script sets the answers to the next calls to a path such as "/result", one each. After them the service answers by itself
// again. Script panics if there is no such path.
func (s *Service) Script(path string, answers ...Answer) {
	s.script.edit(path, func(p *scriptedPath) { p.answers = append(p.answers, answers...) })
}

// ScriptAlways sets the answer to all calls to a path that [Service.Script] has no answer left for.
func (s *Service) ScriptAlways(path string, a Answer) {
	s.script.edit(path, func(p *scriptedPath) { p.always = &a })
}

// Calls returns how often the path has been called, preflights not counted.
func (s *Service) Calls(path string) (n int) {
	s.script.edit(path, func(p *scriptedPath) { n = p.calls })
	return n
}

// LastRequest returns the latest request to the path, and the zero value if there was none.
func (s *Service) LastRequest(path string) (last Request) {
	s.script.edit(path, func(p *scriptedPath) { last = p.last })
	return last
}

// Reset forgets all scripted answers and pending outcomes, and what clients have sent. Tokens, results, and enrolled people stay.
func (s *Service) Reset() {
	s.script.mu.Lock()
	clear(s.script.paths)
	s.script.mu.Unlock()

	s.mu.Lock()
	s.pending = nil
	s.mu.Unlock()
}

// edit calls f for the path, under the lock.
func (s *script) edit(path string, f func(*scriptedPath)) {
	if _, known := apis[path]; !known {
		panic("bwstest: the service has no path " + path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.paths[path]
	if !ok {
		p = new(scriptedPath)
		if s.paths == nil {
			s.paths = make(map[string]*scriptedPath)
		}
		s.paths[path] = p
	}
	f(p)
}

// next records a call and returns the answer that was scripted for it, if any.
func (s *script) next(path string, r *http.Request) (a Answer, scripted bool) {
	s.edit(path, func(p *scriptedPath) {
		p.calls++
		p.last = Request{r.Method, r.URL.RawQuery, r.URL.Query(), r.Header.Clone()}
		switch {
		case len(p.answers) > 0:
			a, scripted = p.answers[0], true
			p.answers = p.answers[1:]
		case p.always != nil:
			a, scripted = *p.always, true
		}
	})
	return a, scripted
}

// send answers r with a.
func (a Answer) send(w http.ResponseWriter, r *http.Request) {
	// Only when the body has been read does net/http notice that the client goes away.
	_, _ = io.Copy(io.Discard, r.Body)
	ctx := r.Context()
	if a.Hang {
		<-ctx.Done()
	}
	if !sleep(ctx, a.Delay) {
		panic(http.ErrAbortHandler)
	}
	if a.Raw != nil {
		a.sendRaw(ctx, w)
		return
	}
	w.Header().Set("Content-Type", contentTypeJSON)
	maps.Copy(w.Header(), a.Header)
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	if !a.drip(ctx, w, a.Body, http.NewResponseController(w).Flush) {
		// Returning would end the answer properly, so that it looked complete.
		panic(http.ErrAbortHandler)
	}
}

func (a Answer) sendRaw(ctx context.Context, w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refuse(w, http.StatusInternalServerError, "a raw answer needs HTTP/1.1")
		return
	}
	a.drip(ctx, conn, a.Raw, func() error { return nil })
	_ = conn.Close()
}

// drip writes data, slowly if a says so, and reports whether the client stayed until the end.
func (a Answer) drip(ctx context.Context, w io.Writer, data []byte, flush func() error) (complete bool) {
	if a.Drip == 0 {
		_, err := w.Write(data)
		return err == nil
	}
	for piece := range slices.Chunk(data, 1) {
		if _, err := w.Write(piece); err != nil || flush() != nil || !sleep(ctx, a.Drip) {
			return false
		}
	}
	return true
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
