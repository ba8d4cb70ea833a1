package emulator

import (
	"bytes"
	"io"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(logWriter{})
}

// logged is what Caddy logs with the writer emulator_test.
var logged recorder

type recorder struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (*recorder) Close() error { return nil }

// take returns what has been logged since the last time.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.buf.Reset()
	return r.buf.String()
}

// logWriter makes Caddy log to the recorder.
type logWriter struct{}

func (logWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.emulator_test", New: func() caddy.Module { return new(logWriter) }}
}

func (logWriter) String() string                      { return "emulator_test" }
func (logWriter) WriterKey() string                   { return "emulator_test" }
func (logWriter) OpenWriter() (io.WriteCloser, error) { return &logged, nil }
