package bws

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
)

// The causes here are those that no server in a test brings about. Of them, too, the error says only what is known to be harmless.
func TestNetworkDetail(t *testing.T) {
	secret := errors.New("hunter2")
	for _, test := range []struct {
		cause error
		want  string
	}{
		{secret, ""},
		{&net.OpError{Op: "dial", Err: secret}, "dial failed"},
		{&net.OpError{Op: "read", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}, Err: secret}, "read 127.0.0.1:443 failed"},
		{&tls.CertificateVerificationError{Err: secret}, "the certificate is not valid"},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign, Detail: "hunter2"}, ""},
		{x509.CertificateInvalidError{Reason: x509.Expired, Detail: "hunter2"}, "the certificate has expired or is not valid yet"},
	} {
		if got := networkDetail(test.cause); got != test.want {
			t.Errorf("%v: got %q, want %q", test.cause, got, test.want)
		}
	}
}
