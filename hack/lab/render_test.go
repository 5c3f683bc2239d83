package main

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestRenderedConfigurationIsWellFormed(t *testing.T) {
	n := nodes()[0]
	for name, test := range map[string]struct {
		data  any
		parse func([]byte, any) error
		want  string
	}{
		"kubelet.yaml": {struct {
			Address, Authority, Certificate, Key, ClusterDomain, DNSAddress, CgroupRoot string
		}{n.address, "/ca", "/crt", "/key", clusterDomain, dnsServiceAddress, podsCgroup(n)},
			unmarshalYAML, "cgroupRoot: /connpolicy-lab/node-1\n"},
		"kube-proxy.yaml": {struct{ Name, Kubeconfig, PodsCIDR string }{n.name, "/k", podsCIDR},
			unmarshalYAML, "clusterCIDR: 198.18.16.0/20\n"},
		"kubeconfig.yaml": {struct{ Server, User, Authority, Certificate, Key string }{"https://a:1", "admin", "YQ==", "Yg==", "Yw=="},
			unmarshalYAML, "server: https://a:1\n"},
		"cni.conflist": {struct{ PodsCIDR string }{n.podsCIDR}, json.Unmarshal, `"subnet": "198.18.17.0/24"`},
	} {
		t.Run(name, func(t *testing.T) {
			content, err := render(name, test.data)
			if err != nil {
				t.Fatal(err)
			}
			var parsed map[string]any
			if err := test.parse(content, &parsed); err != nil || len(parsed) == 0 {
				t.Errorf("it does not parse: %v\n%s", err, content)
			}
			if !strings.Contains(string(content), test.want) {
				t.Errorf("it lacks %q:\n%s", test.want, content)
			}
		})
	}
}

func unmarshalYAML(content []byte, into any) error { return yaml.UnmarshalStrict(content, into) }

func TestRenderRefusesMissingData(t *testing.T) {
	if content, err := render("cni.conflist", map[string]string{}); err == nil {
		t.Errorf("got %s, want an error", content)
	}
}

func TestCertificateRequestsNameEveryNode(t *testing.T) {
	users := map[string]certificateRequest{}
	for _, request := range certificateRequests(nodes()) {
		users[request.user] = request
	}
	for _, n := range nodes() {
		request, found := users["system:node:"+n.name]
		if !found || strings.Join(request.groups, ",") != "system:nodes" || strings.Join(request.hosts, ",") != n.name+","+n.address {
			t.Errorf("%s: %+v", n.name, request)
		}
	}
}
