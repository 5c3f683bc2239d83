package exchange

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// explainTLS adds to the error of a TLS handshake what it means to somebody who operates the target.
func explainTLS(err *TLSError) string {
	var (
		expired  = err.Expired()
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		record   tls.RecordHeaderError
	)
	meaning := ""
	switch {
	case expired != nil:
		meaning = "the certificate is valid from " + expired.NotBefore.UTC().Format(time.RFC3339) + " to " +
			expired.NotAfter.UTC().Format(time.RFC3339)
	case errors.As(err, &hostname):
		meaning = "the certificate is for other names; --tls-server-name names the one to expect"
	case errors.As(err, &unknown):
		meaning = "no authority that is trusted here has signed the certificate; --tls-ca names a file with the one that has"
	case errors.As(err, &record):
		meaning = "the server does not speak TLS on this port"
	case err.SpeaksOldVersion():
		meaning = "the server speaks no version of TLS from 1.2 on"
	case err.remoteAlert() != "":
		meaning = "the server refused the handshake"
	case errors.Is(err, tcpconn.ErrTimeout):
		meaning = "the server accepted the connection and did not finish the handshake in time"
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET):
		meaning = "the server ended the connection in the middle of the handshake"
	}
	if meaning == "" {
		return err.Error()
	}
	return err.Error() + " (" + meaning + ")"
}
