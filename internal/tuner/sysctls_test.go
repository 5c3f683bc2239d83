package tuner

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

func TestInForceComparesMeaningNotText(t *testing.T) {
	values := v1alpha1.KnobValues{EphemeralPorts: &v1alpha1.EphemeralPorts{First: 1024, Last: 65535, Reserved: []string{"9090", "8080", "8081", "30000-32767"}}}
	for name, test := range map[string]struct {
		sysctls map[string]string
		differs string
	}{
		"as the kernel shows it": {sysctls: map[string]string{sysctlPortRange: "1024\t65535\n", sysctlReservedPorts: "8080-8081,9090,30000-32767\n"}},
		"as it was written":      {sysctls: map[string]string{sysctlPortRange: "1024 65535", sysctlReservedPorts: "9090,8080,8081,30000-32767"}},
		"another range": {sysctls: map[string]string{sysctlPortRange: "32768\t60999", sysctlReservedPorts: "8080-8081,9090,30000-32767"},
			differs: `net.ipv4.ip_local_port_range is "32768 60999" instead of "1024 65535"`},
		"a port is missing": {sysctls: map[string]string{sysctlPortRange: "1024\t65535", sysctlReservedPorts: "8080-8081,30000-32767"},
			differs: `net.ipv4.ip_local_reserved_ports is "8080-8081,30000-32767"`},
		"nothing reserved":   {sysctls: map[string]string{sysctlPortRange: "1024\t65535", sysctlReservedPorts: ""}, differs: "net.ipv4.ip_local_reserved_ports is"},
		"range not read":     {sysctls: map[string]string{sysctlReservedPorts: "8080"}, differs: "net.ipv4.ip_local_port_range could not be read"},
		"reserved not read":  {sysctls: map[string]string{sysctlPortRange: "1024\t65535"}, differs: "net.ipv4.ip_local_reserved_ports could not be read"},
		"range not readable": {sysctls: map[string]string{sysctlPortRange: "all"}, differs: "net.ipv4.ip_local_port_range cannot be compared"},
	} {
		t.Run(name, func(t *testing.T) {
			same, differs := InForce(values, test.sysctls)
			if same != (test.differs == "") || !strings.Contains(differs, test.differs) {
				t.Errorf("%v, %q", same, differs)
			}
		})
	}
}

func TestKernelTakesWhatIsPlanned(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root to make a network namespace")
		}
		t.Skip("needs root to make a network namespace")
	}
	full := untunedPod("client-a", 28100)
	for port := 2001; port < 12000; port += 50 {
		full.ListeningPorts = append(full.ListeningPorts, port)
	}
	for name, pod := range map[string]PodPorts{"full": untunedPod("client-a", 28100), "half": untunedPod("client-a", 14116), "many listeners": full} {
		plan := Compute(workload(), []LinkDemand{demand(pod)})
		if plan.Values == nil {
			t.Fatalf("%s: %s", plan.Reason, plan.Message)
		}
		shown := kernelShows(t, Sysctls(*plan.Values))
		if same, differs := InForce(*plan.Values, shown); !same {
			t.Errorf("%s: %s", name, differs)
		}
	}
}

// kernelShows sets sysctls in a network namespace of their own and returns what the kernel then shows.
func kernelShows(t *testing.T, sysctls []Sysctl) map[string]string {
	t.Helper()
	shown := map[string]string{}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and the namespace with the thread
		done <- func() error {
			if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
				return err
			}
			for _, s := range sysctls {
				path := filepath.Join("/proc/sys", strings.ReplaceAll(s.Name, ".", "/"))
				if err := os.WriteFile(path, []byte(s.Value), 0o644); err != nil {
					return err
				}
				value, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				shown[s.Name] = string(value)
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return shown
}
