package integration

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// relay passes datagrams between one client after the other and a server. Held back, it passes only what a client can send before the
// server has answered, which is all that somebody could send again who has listened.
type relay struct {
	front, back net.PacketConn
	server      net.Addr
	client      atomic.Pointer[net.Addr]
	heldBack    atomic.Bool
}

func startRelay(t *testing.T, server string) *relay {
	t.Helper()
	r := new(relay)
	var err error
	if r.server, err = net.ResolveUDPAddr("udp", server); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []*net.PacketConn{&r.front, &r.back} {
		if *conn, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = (*conn).Close() })
	}
	go pass(r.front, func(datagram []byte, from net.Addr) {
		r.client.Store(&from)
		if !r.heldBack.Load() || isEarly(datagram) {
			_, _ = r.back.WriteTo(datagram, r.server)
		}
	})
	go pass(r.back, func(datagram []byte, _ net.Addr) {
		if client := r.client.Load(); client != nil {
			_, _ = r.front.WriteTo(datagram, *client)
		}
	})
	return r
}

func pass(conn net.PacketConn, datagram func([]byte, net.Addr)) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		datagram(buf[:n], from)
	}
}

// isEarly reports whether all packets of a datagram are of the kinds Initial and 0-RTT, which need nothing of the server.
func isEarly(datagram []byte) bool {
	const initial, zeroRTT = 0, 1
	for len(datagram) > 0 && datagram[0] != 0 { // zeros are padding
		kind := datagram[0] >> 4 & 3
		if datagram[0]&0x80 == 0 || kind != initial && kind != zeroRTT {
			return false
		}
		at := 5 // after the version
		for range 2 {
			at += 1 + int(datagram[at]) // the ids of the connection
		}
		if kind == initial {
			length, n, err := quicvarint.Parse(datagram[at:])
			if err != nil {
				return false
			}
			at += n + int(length)
		}
		length, n, err := quicvarint.Parse(datagram[at:])
		if err != nil {
			return false
		}
		datagram = datagram[at+n+int(length):]
	}
	return true
}

// A request in TLS early data can have been recorded and sent again by anybody, so that it spends nothing.
func TestEarlyData(t *testing.T) {
	covers(t, 123)
	t.Parallel()
	s := startSecureSite(t, "", "\tbws {\n\t\tonce\n\t}")
	r := startRelay(t, "127.0.0.1"+strings.TrimPrefix(s.Addr, "localhost"))
	config := s.tls.Clone()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	config.ServerName = "localhost"
	token := s.goodToken()
	get := func(method string) *answer {
		t.Helper()
		transport := &http3.Transport{TLSClientConfig: config}
		defer transport.Close()
		defer r.heldBack.Store(false) // the server must hear that the connection ends
		r.heldBack.Store(method == http3.MethodGet0RTT)
		request, err := http.NewRequestWithContext(t.Context(), method, "https://"+r.front.LocalAddr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "localhost"
		request.Header.Set("X-BWS-Token", token)
		got, err := exchange(&http.Client{Transport: transport, Timeout: 10 * time.Second}, request)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	// The first connection leaves behind what early data takes.
	spent := token
	if got := get(http.MethodGet); got.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", got.StatusCode, got.Body)
	}
	s.app.take()

	token = s.goodToken()
	asked := s.service.Calls("/result")
	for range 2 {
		got := get(http3.MethodGet0RTT)
		s.checkKeptOut(t, got, "too_early")
		if got.StatusCode != http.StatusTooEarly || s.service.Calls("/result") > asked {
			t.Errorf("got %d, and BWS was asked %d times", got.StatusCode, s.service.Calls("/result")-asked)
		}
	}
	if got := get(http.MethodGet); got.StatusCode != http.StatusOK {
		t.Errorf("once the handshake is over: got %d %s", got.StatusCode, got.Body)
	}
	s.reached(t)
	token = spent
	s.checkKeptOut(t, get(http.MethodGet), "spent")
	(&node{s.caddyProcess}).kill() // else it waits for the connections that never came about
}
