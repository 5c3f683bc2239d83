package main

func writeKubeProxyConfig(n node) error {
	kubeconfig := nodeConfig(n, "kube-proxy.kubeconfig")
	if err := writeKubeconfig(kubeconfig, controlAddress, "kube-proxy"); err != nil {
		return err
	}
	return renderFile(nodeConfig(n, "kube-proxy.yaml"), "kube-proxy.yaml", struct{ Name, Kubeconfig, PodsCIDR string }{
		n.name, kubeconfig, podsCIDR,
	})
}

// startKubeProxy starts kube-proxy in the machine's mount namespace: it needs only the node's network.
func startKubeProxy(l *launcher, n node) error {
	_, err := l.start("kube-proxy-"+n.name, surroundings{NetworkNamespace: n.name},
		[]string{l.layout.program("kube-proxy"), "--config=" + nodeConfig(n, "kube-proxy.yaml")})
	return err
}
