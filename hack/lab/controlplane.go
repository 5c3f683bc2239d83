package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

// controlKubeconfig is the kubeconfig of a program beside the API server.
func controlKubeconfig(name string) string { return filepath.Join(runtimeDir, name+".kubeconfig") }

const etcdURL = "http://127.0.0.1:2379" // loopback of a namespace that holds the control plane alone

// startControlPlane starts etcd, the API server, the controllers, the scheduler and cluster DNS, and returns when
// the API server answers.
func startControlPlane(ctx context.Context, l *launcher, api *apiClient) error {
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "coredns"} {
		if err := writeKubeconfig(controlKubeconfig(name), controlAddress, name); err != nil {
			return err
		}
	}
	corefile := filepath.Join(runtimeDir, "Corefile")
	err := renderFile(corefile, "Corefile", struct{ Address, ReadyAddress, ClusterDomain, Kubeconfig string }{
		controlAddress, net.JoinHostPort(controlOutsideAddress, dnsReadyPort), clusterDomain, controlKubeconfig("coredns"),
	})
	if err != nil {
		return err
	}
	place := surroundings{NetworkNamespace: controlNamespace}
	start := func(name string, arguments ...string) error {
		_, err := l.start(name, place, append([]string{l.layout.program(name)}, arguments...))
		return err
	}
	if err := start("etcd", etcdArguments()...); err != nil {
		return err
	}
	if err := start("kube-apiserver", apiServerArguments()...); err != nil {
		return err
	}
	const patience = 2 * time.Minute
	if err := l.await(ctx, "the API server", patience, api.ready); err != nil {
		return err
	}
	if err := start("kube-controller-manager", controllerManagerArguments()...); err != nil {
		return err
	}
	if err := start("kube-scheduler",
		"--kubeconfig="+controlKubeconfig("kube-scheduler"), "--leader-elect=false", "--bind-address=127.0.0.1"); err != nil {
		return err
	}
	// Before CoreDNS starts: refused once, it waits ever longer before it asks again.
	if err := applyDNS(ctx, l.layout); err != nil {
		return err
	}
	return start("coredns", "-conf", corefile)
}

func etcdArguments() []string {
	return []string{
		"--name=lab",
		"--data-dir=" + filepath.Join(stateDir, "etcd"),
		"--listen-client-urls=" + etcdURL,
		"--advertise-client-urls=" + etcdURL,
		"--listen-peer-urls=http://127.0.0.1:2380",
		"--unsafe-no-fsync", // the data need not outlive the machine
		"--log-level=warn",
	}
}

func apiServerArguments() []string {
	return []string{
		"--etcd-servers=" + etcdURL,
		"--advertise-address=" + controlAddress,
		"--secure-port=" + apiServerPort,
		"--tls-cert-file=" + certificateFile("kube-apiserver"),
		"--tls-private-key-file=" + keyFile("kube-apiserver"),
		"--client-ca-file=" + certificateFile("ca"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-cluster-ip-range=" + servicesCIDR,
		"--service-account-issuer=https://kubernetes.default.svc." + clusterDomain,
		"--service-account-key-file=" + keyFile("service-account"),
		"--service-account-signing-key-file=" + keyFile("service-account"),
		"--kubelet-certificate-authority=" + certificateFile("ca"),
		"--kubelet-client-certificate=" + certificateFile("kube-apiserver-kubelet-client"),
		"--kubelet-client-key=" + keyFile("kube-apiserver-kubelet-client"),
		"--kubelet-preferred-address-types=InternalIP",
		// No kube-proxy runs beside the control plane, so it reaches Services by the addresses of their pods.
		"--enable-aggregator-routing=true",
	}
}

func controllerManagerArguments() []string {
	return []string{
		"--kubeconfig=" + controlKubeconfig("kube-controller-manager"),
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + keyFile("service-account"),
		"--root-ca-file=" + certificateFile("ca"),
		"--cluster-signing-cert-file=" + certificateFile("ca"),
		"--cluster-signing-key-file=" + keyFile("ca"),
		"--cert-dir=", // its own serving certificate stays in memory
	}
}

// applyDNS tells the cluster where its DNS is, and lets CoreDNS read what it answers with.
func applyDNS(ctx context.Context, l layout) error {
	manifest, err := render("dns.yaml", struct{ ServiceAddress, Address string }{dnsServiceAddress, controlAddress})
	if err != nil {
		return err
	}
	if err := l.kubectlApply(ctx, manifest); err != nil {
		return fmt.Errorf("set up cluster DNS: %w", err)
	}
	return nil
}
