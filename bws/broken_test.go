package bws

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// rawServer starts a server that reads a request header from each connection and then hands the connection to answer. It closes
// the connection when answer returns, or when the test ends. It returns the server's URL.
func rawServer(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go func() {
				defer conn.Close()
				request := make([]byte, 0, 4096)
				for !bytes.HasSuffix(request, []byte("\r\n\r\n")) {
					buf := make([]byte, 1024)
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					request = append(request, buf[:n]...)
				}
				answer(conn)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// write sends texts and hangs up.
func write(texts ...string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, strings.Join(texts, "")) }
}

// silence sends text and then nothing more, until the client hangs up.
func silence(text string) func(net.Conn) {
	return func(conn net.Conn) {
		write(text)(conn)
		_, _ = io.Copy(io.Discard, conn)
	}
}

// reset sends text and resets the connection.
func reset(text string) func(net.Conn) {
	return func(conn net.Conn) {
		write(text)(conn)
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
}

// forever sends first, and then more again and again with pauses between, until the client hangs up.
func forever(first, more string, pause time.Duration) func(net.Conn) {
	return func(conn net.Conn) {
		_, err := io.WriteString(conn, first)
		for err == nil {
			_, err = io.WriteString(conn, more)
			time.Sleep(pause)
		}
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBrokenAnswers(t *testing.T) {
	const (
		ok      = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
		long    = "Content-Length: 10485760\r\n\r\n"
		zip     = "Content-Encoding: gzip\r\n\r\n"
		upgrade = "HTTP/1.1 101 x\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
		empty   = "HTTP/1.1 204 x\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
		chunked = "Transfer-Encoding: chunked\r\n\r\n"
		tick    = 5 * time.Millisecond
	)
	spaces := strings.Repeat(" ", 0x400)
	for name, test := range map[string]struct {
		answer func(net.Conn)
		kind   error
		status int
	}{
		"case 75: closed without an answer": {write(), ErrUnavailable, 0},
		"case 75: reset":                    {reset(""), ErrUnavailable, 0},
		"case 75: reset inside the header":  {reset(ok + "X: " + serverBytes), ErrUnavailable, 0},
		"case 75: closed inside the header": {write(ok + "X: " + serverBytes), ErrUnavailable, 0},
		"case 75: closed inside the body":   {write(ok, long, identified), ErrUnavailable, 200},
		"case 75: closed inside a chunk":    {write(ok, chunked, "fff\r\n", identified), ErrUnavailable, 200},

		"case 76: no header":            {silence(""), ErrTimeout, 0},
		"case 76: header drips":         {forever(ok, "X: y\r\n", tick), ErrTimeout, 0},
		"case 76: no body":              {silence(ok + long), ErrTimeout, 200},
		"case 76: body drips":           {forever(ok+long, " ", tick), ErrTimeout, 200},
		"case 76: body drips in chunks": {forever(ok+chunked, "1\r\n \r\n", tick), ErrTimeout, 200},
		"case 76: body of a 503 drips":  {forever("HTTP/1.1 503 x\r\n"+long, " ", tick), ErrUnavailable, 503},

		"case 77: 10 MB announced":          {forever(ok+long, spaces, 0), ErrInvalidResponse, 200},
		"case 77: endless chunks":           {forever(ok+chunked, "400\r\n"+spaces+"\r\n", 0), ErrInvalidResponse, 200},
		"case 77: endless body until close": {forever(ok+"\r\n", spaces, 0), ErrInvalidResponse, 200},
		"case 77: endless body of a 500":    {forever("HTTP/1.1 500 x\r\n\r\n", spaces, 0), ErrUnavailable, 500},
		"case 77: gzip nobody asked for":    {write(ok, zip, gzipped(t, identified)), ErrInvalidResponse, 200},
		"case 77: 1 MB header":              {forever(ok, "X: "+strings.Repeat("y", 1<<20), 0), ErrInvalidResponse, 0},
		"case 77: endless header lines":     {forever(ok, "X: "+serverBytes+"\r\n", 0), ErrInvalidResponse, 0},
		"case 77: endless 1xx":              {forever("", "HTTP/1.1 103 x\r\nLink: x\r\n\r\n", 0), ErrInvalidResponse, 0},
		"case 77: endless 1xx, slowly":      {forever("", "HTTP/1.1 102 x\r\n\r\n", tick), ErrTimeout, 0},

		"case 78: empty 200":          {write(ok, "Content-Length: 0\r\n\r\n"), ErrInvalidResponse, 200},
		"case 81: trailing NUL":       {write(ok, "\r\n", identified, "\x00"), ErrInvalidResponse, 200},
		"case 88: 101, then silence":  {silence(upgrade), ErrInvalidResponse, 101},
		"case 88: 204 with a body":    {write(empty, "false"), ErrNoResult, 204},
		"case 88: 206 with a range":   {write("HTTP/1.1 206 x\r\nContent-Range: bytes 0-1/9\r\n\r\n{}"), ErrInvalidResponse, 206},
		"case 88: 304":                {write("HTTP/1.1 304 x\r\n\r\n"), ErrInvalidResponse, 304},
		"not HTTP":                    {write(serverBytes, "\r\n\r\n"), ErrInvalidResponse, 0},
		"status that is no number":    {write("HTTP/1.1 2x0 ", serverBytes, "\r\n\r\n"), ErrInvalidResponse, 0},
		"malformed header line":       {write("HTTP/1.1 200 OK\r\n", serverBytes, "\r\n\r\n"), ErrInvalidResponse, 0},
		"two lengths":                 {write(ok, "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), ErrInvalidResponse, 0},
		"unknown transfer encoding":   {write(ok, "Transfer-Encoding: ", serverBytes, "\r\n\r\n"), ErrInvalidResponse, 0},
		"malformed chunk":             {write(ok, chunked, serverBytes, "\r\n"), ErrInvalidResponse, 200},
		"HTTP/2 nobody has asked for": {write("\x00\x00\x06\x04\x00\x00\x00\x00\x00"), ErrInvalidResponse, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 10 * time.Second
			if test.kind == ErrTimeout || test.status == 503 {
				timeout = brief
			}
			got, err := newTestClient(t, rawServer(t, test.answer), timeout).Result(t.Context(), testToken)
			if e := wantError(t, err, test.kind); e.Status != test.status || e.Connect {
				t.Errorf("got %+v, want status %d", e, test.status)
			}
			if got.Success || got.Action != "" {
				t.Errorf("an error, and yet a result: %+v", got)
			}
		})
	}
}

func TestLongestAnswers(t *testing.T) {
	body := identified + strings.Repeat(" ", maxBodyLength-len(identified))
	header := "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/json\r\nX: " + strings.Repeat("y", 15<<10) + "\r\n"
	url := rawServer(t, write(header, fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)), body))
	if got, err := newTestClient(t, url, 0).Result(t.Context(), testToken); err != nil || !got.Success {
		t.Errorf("got %+v, %v", got, err)
	}
}
