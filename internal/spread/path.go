package spread

import (
	"maps"
	"slices"
	"strings"
)

// Path is what the places say of the path and of where they stand.
type Path struct {
	// Kernels of the nodes, and Addresses that the connections went to; each once, sorted.
	Kernels, Addresses []string
	// Differing are the settings that are not the same in all network namespaces, by name, each with its values: "0 on
	// node-1, 1 on node-2".
	Differing map[string]string
}

// Namespace is one network namespace and its settings.
type Namespace struct {
	// Name for people, such as the node's or the pod's.
	Name string
	// Sysctls in force, by full name. Nil: they could not be read.
	Sysctls map[string]string
}

// PathOf merges what the places say.
func PathOf(places []Place) Path {
	var p Path
	var namespaces []Namespace
	for _, place := range places {
		p.Kernels = append(p.Kernels, place.Result.Host.Kernel)
		p.Addresses = append(p.Addresses, place.Result.Target.Address)
		namespaces = append(namespaces, Namespace{place.Node, place.Result.Host.Sysctls})
	}
	p.Kernels, p.Addresses = once(p.Kernels), once(p.Addresses)
	p.Differing = Differing(namespaces)
	return p
}

// Differing are the settings that are not the same in all namespaces that could be read. One that a namespace does not have
// is compared among the others.
func Differing(namespaces []Namespace) map[string]string {
	values := map[string]map[string][]string{} // of a setting: the names of the namespaces by value
	for _, n := range namespaces {
		for name, value := range n.Sysctls {
			if values[name] == nil {
				values[name] = map[string][]string{}
			}
			value = strings.Join(strings.Fields(value), " ")
			values[name][value] = append(values[name][value], n.Name)
		}
	}
	differing := map[string]string{}
	for name, byValue := range values {
		if len(byValue) < 2 {
			continue
		}
		var said []string
		for _, value := range slices.Sorted(maps.Keys(byValue)) {
			said = append(said, value+" on "+strings.Join(byValue[value], " and "))
		}
		differing[name] = strings.Join(said, ", ")
	}
	if len(differing) == 0 {
		return nil
	}
	return differing
}

// once are the texts that say something, sorted, each once.
func once(texts []string) []string {
	texts = slices.DeleteFunc(texts, func(text string) bool { return text == "" })
	slices.Sort(texts)
	return slices.Compact(texts)
}
