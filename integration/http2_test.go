package integration

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddy-bws/caddy-bws/bws/bwstest"
)

// h2Stream is the answer to one request over HTTP/2: its status, and the data that came with it.
type h2Stream struct {
	status int
	body   string
	// reset says that the server refused the stream.
	reset bool
}

// overHTTP2 sends one request with prior knowledge, frame by frame, since Go's client would not send most of what a client can:
// header fields, then data and, with trailers, the end. An open stream stays open, for a connection that is upgraded.
func overHTTP2(t *testing.T, addr string, fields [][2]string, data string, trailers [][2]string, open bool) h2Stream {
	t.Helper()
	conn := dial(t, addr)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	headers := func(fields [][2]string, end bool) error {
		block.Reset()
		for _, field := range fields {
			if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
				return err
			}
		}
		return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
	}
	ended := data == "" && trailers == nil && !open
	err := framer.WriteSettings()
	if err == nil {
		err = headers(fields, ended)
	}
	if err == nil && data != "" {
		err = framer.WriteData(1, trailers == nil && !open, []byte(data))
	}
	if err == nil && trailers != nil {
		err = headers(trailers, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return readHTTP2(t, framer, data, open)
}

// readHTTP2 reads until the stream ends, or until as much has come back as was sent.
func readHTTP2(t *testing.T, framer *http2.Framer, sent string, open bool) (answer h2Stream) {
	t.Helper()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("the connection ends after %+v: %v", answer, err)
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status != "" {
				answer.status, _ = strconv.Atoi(status)
			}
		case *http2.DataFrame:
			answer.body += string(f.Data())
		case *http2.RSTStreamFrame:
			// NO_ERROR only says that the rest of the request is of no interest.
			answer.reset = f.ErrCode != http2.ErrCodeNo
			return answer
		case *http2.GoAwayFrame:
			answer.reset = true
			return answer
		}
		header := frame.Header()
		if header.StreamID == 1 && header.Flags.Has(http2.FlagDataEndStream) && header.Type != http2.FrameSettings ||
			open && answer.status == http.StatusOK && len(answer.body) >= len(sent) {
			return answer
		}
	}
}

// No way around a gate, and no forged identity, by what only HTTP/2 can say.
func TestHTTP2Frames(t *testing.T) {
	t.Setenv("GODEBUG", "http2xconnect=1") // without it, Go's server refuses an extended CONNECT by itself
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go serveEcho(echo)
	s := startSite(t, "\t\tprotocols h1 h2c\n"+acceptOddNames, "\tbws\n\treverse_proxy /socket "+echo.Addr().String())
	request := func(method, path string, more ...[2]string) [][2]string {
		return append([][2]string{{":method", method}, {":scheme", "http"}, {":authority", s.Addr}, {":path", path}}, more...)
	}
	socket := func(more ...[2]string) [][2]string {
		return append([][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":authority", s.Addr},
			{":path", "/socket"}, {"sec-websocket-version", "13"}}, more...)
	}
	denied := func(t *testing.T, got h2Stream, status int, reason string) {
		t.Helper()
		if reached := s.app.take(); got.status != status || !strings.Contains(got.body, `"reason":"`+reason+`"`) || len(reached) > 0 {
			t.Errorf("got %+v, the app is reached: %v; want %d %s", got, len(reached) > 0, status, reason)
		}
	}
	token := [2]string{"x-bws-token", s.goodToken()}

	t.Run("security case 27: an extended CONNECT", func(t *testing.T) {
		covers(t)
		denied(t, overHTTP2(t, s.Addr, socket(), "ping", nil, true), http.StatusUnauthorized, "no_token")
		expired := s.service.Token(bwstest.TokenSpec{BCID: alice, NotBefore: time.Now().Add(-time.Hour)})
		denied(t, overHTTP2(t, s.Addr, socket([2]string{"x-bws-token", expired}), "", nil, true), http.StatusUnauthorized, "expired_token")
		if got := overHTTP2(t, s.Addr, socket(token), "ping", nil, true); got.status != http.StatusOK || got.body != "ping" {
			t.Errorf("with a token: got %+v", got)
		}
	})
	t.Run("security case 27: a plain CONNECT", func(t *testing.T) {
		covers(t)
		got := overHTTP2(t, s.Addr, [][2]string{{":method", "CONNECT"}, {":authority", s.Addr}}, "x", nil, false)
		denied(t, got, http.StatusUnauthorized, "no_token")
	})
	t.Run("security case 34: cookies in fields of their own", func(t *testing.T) {
		covers(t)
		got := overHTTP2(t, s.Addr, request("GET", "/", [2]string{"cookie", "bws_token=" + token[1]}, [2]string{"cookie", "bws_token=x"}), "", nil, false)
		denied(t, got, http.StatusBadRequest, "ambiguous_token")
	})
	t.Run("security case 29: a body that is not read", func(t *testing.T) {
		covers(t)
		got := overHTTP2(t, s.Addr, request("POST", "/", [2]string{"content-length", "1000000000"}), "x", nil, true)
		denied(t, got, http.StatusUnauthorized, "no_token")
	})
	t.Run("security case 1: forged headers and trailers", func(t *testing.T) {
		covers(t)
		got := overHTTP2(t, s.Addr, request("POST", "/", token, [2]string{"x-bws-bcid", "admin"}, [2]string{"x_bws_bcid", "admin"},
			[2]string{"x.bws.bcid", "admin"}, [2]string{"trailer", "x-bws-bcid"}), "x", [][2]string{{"x-bws-bcid", "admin"}}, false)
		r := s.reached(t)
		if got.status != http.StatusOK || len(r.Trailer) > 0 || !slices.Equal(r.Header.Values("X-Bws-Bcid"), []string{alice.String()}) {
			t.Errorf("got %+v; the app gets %q, trailer %q", got, r.Header, r.Trailer)
		}
		for name := range r.Header {
			if strings.ContainsAny(name, "_.") {
				t.Errorf("the app gets %s", name)
			}
		}
	})
	t.Run("names that HTTP/2 forbids", func(t *testing.T) {
		for _, field := range [][2]string{{"X-BWS-BCID", "admin"}, {"connection", "x-bws-bcid"}, {"x-bws-bcid\r\nx", "admin"}, {"x-bws-bcid", "a\r\nx: y"}} {
			if got := overHTTP2(t, s.Addr, request("GET", "/", token, field), "", nil, false); !got.reset && got.status != http.StatusBadRequest {
				t.Errorf("%q: got %+v", field, got)
			}
			if reached := s.app.take(); len(reached) > 0 {
				t.Errorf("%q: the app is reached with %q", field, reached[0].Header)
			}
		}
	})
}
