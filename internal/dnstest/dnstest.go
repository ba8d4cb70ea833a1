// Package dnstest provides a name server to test with, which can be silent, slow or broken, or know nothing.
package dnstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// State is what the server does about names.
type State int

// The states. A name that is Here has the address 127.0.0.1, one that is Gone does not exist (NXDOMAIN), and for one that is Broken
// the server says that it has failed (SERVFAIL).
const (
	Here State = iota
	Gone
	Broken
	Silent
)

// TB is the part of testing.TB that a server needs.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Server is a name server for all names. It is safe for concurrent use.
type Server struct {
	// Addr is its address, for TCP, which loses nothing.
	Addr string

	mu      sync.Mutex
	domains map[string]behavior
}

// behavior is what the server does about the names of a domain, and how long it takes over it.
type behavior struct {
	state State
	delay time.Duration
}

// Start starts a server, which lives until the test ends. All names are Here.
func Start(t TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &Server{Addr: l.Addr().String(), domains: make(map[string]behavior)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// Set changes the state of the names below a domain. It answers at once.
func (s *Server) Set(domain string, state State) { s.set(domain, behavior{state: state}) }

// Slow has the server take its time for the names below a domain, which are Here.
func (s *Server) Slow(domain string, delay time.Duration) { s.set(domain, behavior{delay: delay}) }

func (s *Server) set(domain string, b behavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.domains[domain] = b
}

// behaviorFor is that of the name's domain, also if the resolver has appended one of its own, as it does if a name does not exist.
func (s *Server) behaviorFor(name string) behavior {
	s.mu.Lock()
	defer s.mu.Unlock()
	for domain, b := range s.domains {
		if strings.Contains(name, "."+domain+".") {
			return b
		}
	}
	return behavior{}
}

// Resolver returns a resolver that asks the server at an address.
func Resolver(addr string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}}
}

// serve answers the questions of a connection until the client closes it.
func (s *Server) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var length uint16
		if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
			return
		}
		packet := make([]byte, length)
		if _, err := io.ReadFull(conn, packet); err != nil {
			return
		}
		if answer := s.answer(packet); answer != nil {
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)) //nolint:gosec // it is short
		}
	}
}

// answer returns what to send, nil for nothing.
func (s *Server) answer(packet []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(packet)
	if err != nil {
		return nil
	}
	question, err := parser.Question()
	if err != nil {
		return nil
	}
	b := s.behaviorFor(question.Name.String())
	time.Sleep(b.delay)
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	switch {
	case b.state == Silent:
		return nil
	case b.state == Gone:
		message.RCode = dnsmessage.RCodeNameError
	case b.state == Broken:
		message.RCode = dnsmessage.RCodeServerFailure
	case question.Type == dnsmessage.TypeA:
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	answer, _ := message.Pack()
	return answer
}
