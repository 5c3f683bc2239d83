package policy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// clusterDomain is where the names of Services end, unless the administrator chose another domain.
	clusterDomain = ".cluster.local"
	// maximumAliases bounds the Services of type ExternalName that may lead to one another.
	maximumAliases = 4
)

// targetKey is the same for all spellings of one host: an address has many, and a name may end in a dot.
func targetKey(host, port string) string { return net.JoinHostPort(plain(host), port) }

func plain(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return host
}

// resolveKey is the key of a target by the host that stands for it: where that is a Service's, in any spelling, the key
// is the Service's. A short name is looked for as a pod of the namespace would; none is while namespace is empty. It
// reads the cache alone.
func (r *Reconciler) resolveKey(ctx context.Context, namespace, host, port string) (string, error) {
	for range maximumAliases {
		service, err := r.serviceOf(ctx, namespace, host)
		if err != nil {
			return "", err
		}
		if service == nil || hostOf(service) == host {
			break
		}
		host, namespace = hostOf(service), ""
	}
	return targetKey(host, port), nil
}

// serviceOf finds the Service that a host is the name or a virtual address of. Nil: none.
func (r *Reconciler) serviceOf(ctx context.Context, namespace, host string) (*corev1.Service, error) {
	if _, err := netip.ParseAddr(host); err == nil {
		var services corev1.ServiceList
		if err := r.Client.List(ctx, &services, client.MatchingFields{indexClusterIP: plain(host)}); err != nil {
			return nil, fmt.Errorf("look for a Service with the address %s: %w", host, err)
		}
		if len(services.Items) == 0 {
			return nil, nil
		}
		return &services.Items[0], nil
	}
	key, named := serviceNamed(namespace, host)
	if !named {
		return nil, nil
	}
	var service corev1.Service
	err := r.Client.Get(ctx, key, &service)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for Service %s: %w", key, err)
	}
	return &service, nil
}

// serviceNamed is the Service that a host would be the name of: <name>.<namespace>.svc, with or without the cluster's
// domain; and without a final dot also <name>.<namespace> and, in its own namespace, <name>, which the search list of a
// pod completes (kubernetes.io, DNS for Services and Pods).
func serviceNamed(namespace, host string) (client.ObjectKey, bool) {
	name := plain(host)
	full, isFull := strings.CutSuffix(strings.TrimSuffix(name, clusterDomain), ".svc")
	isShort := namespace != "" && full == name && !strings.HasSuffix(host, ".")
	switch labels := strings.Split(full, "."); {
	case len(labels) == 2 && (isFull || isShort):
		return client.ObjectKey{Namespace: labels[1], Name: labels[0]}, true
	case len(labels) == 1 && isShort:
		return client.ObjectKey{Namespace: namespace, Name: labels[0]}, true
	default:
		return client.ObjectKey{}, false
	}
}

// hostOf is the one host by which a Service is known to the limits: its first virtual address, its name if it has none,
// or the name that it stands for.
func hostOf(service *corev1.Service) string {
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return service.Spec.ExternalName
	case service.Spec.ClusterIP == corev1.ClusterIPNone, service.Spec.ClusterIP == "":
		return nameOfService(service)
	default:
		return clusterIPs(service)[0]
	}
}

// clusterIPKeys are the virtual addresses of a Service, for the index.
func clusterIPKeys(service *corev1.Service) []string {
	var keys []string
	for _, ip := range clusterIPs(service) {
		if address, err := netip.ParseAddr(ip); err == nil {
			keys = append(keys, address.Unmap().String())
		}
	}
	return keys
}
