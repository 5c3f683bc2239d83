package target

import "fmt"

// Family is the address family to choose addresses from.
type Family string

// The families, named as the networks of Go's resolver.
const (
	AnyFamily Family = "ip"
	IPv4      Family = "ip4"
	IPv6      Family = "ip6"
)

// ParseFamily reads any, IPv4 or IPv6.
func ParseFamily(name string) (Family, error) {
	for _, f := range []Family{AnyFamily, IPv4, IPv6} {
		if name == f.String() {
			return f, nil
		}
	}
	return "", fmt.Errorf("the address family is any, IPv4 or IPv6, not %q", name)
}

// String is how people write it: any, IPv4 or IPv6.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return "any"
}
