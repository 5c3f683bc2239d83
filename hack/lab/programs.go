package main

const (
	kubernetesVersion = "v1.37.2"
	containerdVersion = "v2.4.2"
	kubernetesModule  = "k8s.io/kubernetes/cmd/"
	containerdModule  = "github.com/containerd/containerd/v2/cmd/"
	cniModule         = "github.com/containernetworking/plugins/plugins/"
	labModule         = "github.com/connpolicy/connpolicy/hack/lab/"
)

// program is one executable that the lab builds from a Go package. The versions of the packages are those of go.mod.
type program struct {
	name           string
	importPath     string
	linkerFlags    string
	tags           string
	cgo            bool
	debianPackages []string // needed to build it
}

// programs returns all that a lab needs, in the order in which they are built: what the API tests need comes first.
func programs() []program {
	// Without these the kubelet reports the version v0.0.0 and version checks of clients fail.
	const kubernetesFlags = "-s -w" +
		" -X k8s.io/component-base/version.gitVersion=" + kubernetesVersion +
		" -X k8s.io/component-base/version.gitMajor=1" +
		" -X k8s.io/component-base/version.gitMinor=37" +
		" -X k8s.io/component-base/version.gitTreeState=clean"
	const containerdFlags = "-s -w -X github.com/containerd/containerd/v2/version.Version=" + containerdVersion
	const flags = "-s -w"
	return []program{
		{name: "etcd", importPath: "go.etcd.io/etcd/server/v3", linkerFlags: flags},
		{name: "kube-apiserver", importPath: kubernetesModule + "kube-apiserver", linkerFlags: kubernetesFlags},
		{name: "kubectl", importPath: kubernetesModule + "kubectl", linkerFlags: kubernetesFlags},
		{name: "kube-controller-manager", importPath: kubernetesModule + "kube-controller-manager", linkerFlags: kubernetesFlags},
		{name: "kube-scheduler", importPath: kubernetesModule + "kube-scheduler", linkerFlags: kubernetesFlags},
		{name: "kubelet", importPath: kubernetesModule + "kubelet", linkerFlags: kubernetesFlags},
		{name: "kube-proxy", importPath: kubernetesModule + "kube-proxy", linkerFlags: kubernetesFlags},
		{name: "containerd", importPath: containerdModule + "containerd", linkerFlags: containerdFlags},
		{name: "containerd-shim-runc-v2", importPath: containerdModule + "containerd-shim-runc-v2", linkerFlags: containerdFlags},
		{name: "ctr", importPath: containerdModule + "ctr", linkerFlags: containerdFlags},
		// Without the tag seccomp every pod fails, since the kubelet asks for the RuntimeDefault profile.
		{name: "runc", importPath: "github.com/opencontainers/runc", linkerFlags: flags, tags: "seccomp", cgo: true,
			debianPackages: []string{"gcc", "libc6-dev", "libseccomp-dev", "pkg-config"}},
		{name: "ptp", importPath: cniModule + "main/ptp", linkerFlags: flags},
		{name: "host-local", importPath: cniModule + "ipam/host-local", linkerFlags: flags},
		{name: "portmap", importPath: cniModule + "meta/portmap", linkerFlags: flags},
		{name: "pause", importPath: labModule + "pause", linkerFlags: flags},
		{name: "coredns", importPath: "github.com/coredns/coredns", linkerFlags: flags},
	}
}
