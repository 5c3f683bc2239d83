package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	pkiDir              = runtimeDir + "/pki"
	certificateLifetime = 365 * 24 * time.Hour
	// clockTolerance starts validity a little in the past, for a clock that is set back while the lab runs.
	clockTolerance = time.Hour
)

// certificateFile and keyFile name the two halves of one identity.
func certificateFile(name string) string { return filepath.Join(pkiDir, name+".crt") }
func keyFile(name string) string         { return filepath.Join(pkiDir, name+".key") }

// certificateRequest says for whom a certificate is.
type certificateRequest struct {
	file   string   // name of its files, without ending
	user   string   // the common name, which is the user name to Kubernetes
	groups []string // the organizations, which are the groups to Kubernetes
	hosts  []string // names and addresses at which its holder serves
}

// certificateRequests lists every certificate of the cluster. User and group names are those that Kubernetes binds
// roles to (its documentation, "PKI certificates and requirements").
func certificateRequests(all []node) []certificateRequest {
	requests := []certificateRequest{
		{file: "kube-apiserver", user: "kube-apiserver", hosts: []string{
			"localhost", "127.0.0.1", controlAddress, controlOutsideAddress, apiServerServiceAddress,
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + clusterDomain,
		}},
		{file: "kube-apiserver-kubelet-client", user: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
		{file: "admin", user: "lab-admin", groups: []string{"system:masters"}},
		{file: "kube-controller-manager", user: "system:kube-controller-manager"},
		{file: "kube-scheduler", user: "system:kube-scheduler"},
		{file: "kube-proxy", user: "system:kube-proxy"},
		{file: "coredns", user: "lab:coredns"},
	}
	for _, n := range all {
		requests = append(requests, certificateRequest{
			file: "kubelet-" + n.name, user: "system:node:" + n.name, groups: []string{"system:nodes"},
			hosts: []string{n.name, n.address},
		})
	}
	return requests
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// writePKI makes a new authority, every certificate, and the key that signs the tokens of service accounts.
func writePKI(all []node) error {
	if err := os.MkdirAll(pkiDir, 0o700); err != nil {
		return fmt.Errorf("make the directory for keys: %w", err)
	}
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	for _, request := range certificateRequests(all) {
		if err := ca.issue(request); err != nil {
			return fmt.Errorf("make the certificate %s: %w", request.file, err)
		}
	}
	tokens, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key for tokens: %w", err)
	}
	return writeKey("service-account", tokens)
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	template, err := newTemplate(pkix.Name{CommonName: "connpolicy-lab"})
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority's certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate back: %w", err)
	}
	if err := writeCertificate("ca", der); err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key}, writeKey("ca", key)
}

func (a *authority) issue(request certificateRequest) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	template, err := newTemplate(pkix.Name{CommonName: request.user, Organization: request.groups})
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(request.hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range request.hosts {
		if address := net.ParseIP(host); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	if err := writeCertificate(request.file, der); err != nil {
		return err
	}
	return writeKey(request.file, key)
}

func newTemplate(subject pkix.Name) (*x509.Certificate, error) {
	const serialBits = 120
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    now.Add(-clockTolerance),
		NotAfter:     now.Add(certificateLifetime),
	}, nil
}

func writeCertificate(name string, der []byte) error {
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certificateFile(name), encoded, 0o600); err != nil {
		return fmt.Errorf("write a certificate: %w", err)
	}
	return nil
}

func writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode a key: %w", err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(keyFile(name), encoded, 0o600); err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	return nil
}
