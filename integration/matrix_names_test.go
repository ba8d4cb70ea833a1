package integration

import (
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a name server for names such as fine.down.test, all of which are here. What becomes of a question depends on the
// second label.
type nameServer struct {
	Addr string

	mu    sync.Mutex
	state map[string]nameState
}

type nameState int

const (
	nameFine nameState = iota
	nameGone
	nameSilent
)

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &nameServer{Addr: conn.LocalAddr().String(), state: make(map[string]nameState)}
	go func() {
		packet := make([]byte, 1<<12)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			if answer := s.answer(packet[:n]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return s
}

func (s *nameServer) set(label string, state nameState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state[label] = state
}

// answer returns what to send, nil for nothing.
func (s *nameServer) answer(packet []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(packet)
	if err != nil {
		return nil
	}
	question, err := parser.Question()
	if err != nil {
		return nil
	}
	_, name, _ := strings.Cut(question.Name.String(), ".")
	label, _, _ := strings.Cut(name, ".")
	s.mu.Lock()
	state := s.state[label]
	s.mu.Unlock()
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	switch {
	case state == nameSilent:
		return nil
	case state == nameGone:
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
