//go:build e2e

package e2e

import (
	"crypto/x509"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/probes/nstest"
)

// trusted holds the certificate of an authority.
func trusted(a nstest.Authority, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Data:       map[string]string{"ca.crt": string(nstest.CertificatePEM(a.Certificate.Raw))},
	}
}

// certified holds a certificate for a server of the given name, and its key.
func certified(t *testing.T, a nstest.Authority, name, host string) *corev1.Secret {
	t.Helper()
	certificate, key := nstest.PEM(t, a.Sign(t, func(c *x509.Certificate) {
		c.DNSNames, c.NotAfter = []string{host}, time.Now().AddDate(0, 2, 0)
	}))
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	}
}
