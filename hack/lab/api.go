package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// requestTimeout bounds one question; the caller asks again.
const requestTimeout = 5 * time.Second

// apiClient asks the API server a few simple things as the lab's administrator.
type apiClient struct {
	http *http.Client
}

func newAPIClient() (*apiClient, error) {
	authority, err := os.ReadFile(certificateFile("ca"))
	if err != nil {
		return nil, fmt.Errorf("read the lab's authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", certificateFile("ca"))
	}
	certificate, err := tls.LoadX509KeyPair(certificateFile("admin"), keyFile("admin"))
	if err != nil {
		return nil, fmt.Errorf("read the administrator's certificate: %w", err)
	}
	return &apiClient{http: &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: roots, Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
		}},
	}}, nil
}

func apiServerURL() string {
	return "https://" + net.JoinHostPort(controlOutsideAddress, apiServerPort)
}

// ready tells whether the API server says that it is.
func (c *apiClient) ready(ctx context.Context) (bool, error) {
	return isOK(ctx, c.http, apiServerURL()+"/readyz")
}

// serviceAccountReady tells whether pods can be made in the default namespace, which needs its service account.
func (c *apiClient) serviceAccountReady(ctx context.Context) (bool, error) {
	return isOK(ctx, c.http, apiServerURL()+"/api/v1/namespaces/default/serviceaccounts/default")
}

// dnsReady tells whether CoreDNS says that it is.
func dnsReady(ctx context.Context) (bool, error) {
	url := "http://" + net.JoinHostPort(controlOutsideAddress, dnsReadyPort) + "/ready"
	// A transport of its own asks no proxy of the person's, which could not reach the lab.
	client := &http.Client{Timeout: requestTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	return isOK(ctx, client, url)
}

func isOK(ctx context.Context, client *http.Client, url string) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, fmt.Errorf("make a request: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	if err := response.Body.Close(); err != nil {
		return false, fmt.Errorf("read the answer of %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s answers %s", url, response.Status)
	}
	return true, nil
}

// nodeReadiness returns for every node that is registered whether it is ready.
func (c *apiClient) nodeReadiness(ctx context.Context) (readiness map[string]bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, apiServerURL()+"/api/v1/nodes", nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("list the nodes: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("list the nodes: the API server answers %s", response.Status)
	}
	return decodeNodeReadiness(json.NewDecoder(response.Body))
}

func decodeNodeReadiness(decoder *json.Decoder) (map[string]bool, error) {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("read the list of nodes: %w", err)
	}
	readiness := map[string]bool{}
	for _, item := range list.Items {
		readiness[item.Metadata.Name] = false
		for _, condition := range item.Status.Conditions {
			if condition.Type == "Ready" {
				readiness[item.Metadata.Name] = condition.Status == "True"
			}
		}
	}
	return readiness, nil
}

// kubectlApply applies the manifest as the lab's administrator.
func (l layout) kubectlApply(ctx context.Context, manifest []byte) error {
	cmd := exec.CommandContext(ctx, l.program("kubectl"), "--kubeconfig="+l.kubeconfig(), "apply", "--filename=-")
	// Neither a proxy of the person's nor a cache in the person's home.
	cmd.Env = []string{"HOME=" + runtimeDir}
	cmd.Stdin = bytes.NewReader(manifest)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w\n%s", err, output)
	}
	return nil
}
