// Package dnstest provides a name server to test with, which can be silent or know nothing.
package dnstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// State is what the server does about names.
type State int

// The states. A name that is Here has the address 127.0.0.1.
const (
	Here State = iota
	Gone
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

	mu     sync.Mutex
	states map[string]State
}

// Start starts a server, which lives until the test ends. All names are Here.
func Start(t TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &Server{Addr: l.Addr().String(), states: make(map[string]State)}
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

// Set changes the state of the names below a domain.
func (s *Server) Set(domain string, state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[domain+"."] = state
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
	_, domain, _ := strings.Cut(question.Name.String(), ".")
	s.mu.Lock()
	state := s.states[domain]
	s.mu.Unlock()
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	switch {
	case state == Silent:
		return nil
	case state == Gone:
		message.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA:
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	answer, _ := message.Pack()
	return answer
}
