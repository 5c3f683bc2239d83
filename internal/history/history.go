// Package history turns the key figures that a ConnectionReport remembers from lists by figure, which take little room in
// it, into looks, as rules and people read them, and back. It is pure.
package history

import (
	"math"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// Look is a set of key figures and when they were seen.
type Look struct {
	Time metav1.Time
	v1alpha1.KeyFigures
}

// unknown is what stands in a list for a figure that was not known.
const unknown = "unknown"

// Of writes looks, the newest first, as a report holds them. Nil for none.
func Of(looks []Look) *v1alpha1.History {
	if len(looks) == 0 {
		return nil
	}
	h := &v1alpha1.History{}
	for _, look := range looks {
		h.Times = append(h.Times, look.Time)
	}
	for _, f := range figures() {
		f.write(h, looks)
	}
	return h
}

// Looks reads what a report remembers, in its order. Whatever is no figure is unknown.
func Looks(h *v1alpha1.History) []Look {
	if h == nil {
		return nil
	}
	looks := make([]Look, len(h.Times))
	for i, at := range h.Times {
		looks[i].Time = at
	}
	for _, f := range figures() {
		f.read(h, looks)
	}
	return looks
}

// figure is one list of a history.
type figure struct {
	write, read func(*v1alpha1.History, []Look)
}

func figures() []figure {
	return []figure{
		of(func(k *v1alpha1.KeyFigures) **int64 { return &k.HandshakeP99Microseconds },
			func(h *v1alpha1.History) *[]intstr.IntOrString { return &h.HandshakeP99Microseconds }),
		of(func(k *v1alpha1.KeyFigures) **int32 { return &k.SetupSharePercent },
			func(h *v1alpha1.History) *[]intstr.IntOrString { return &h.SetupSharePercent }),
		of(func(k *v1alpha1.KeyFigures) **int32 { return &k.RequestsAtLeast },
			func(h *v1alpha1.History) *[]intstr.IntOrString { return &h.RequestsAtLeast }),
		of(func(k *v1alpha1.KeyFigures) **int32 { return &k.ConnectionsPerSecond },
			func(h *v1alpha1.History) *[]intstr.IntOrString { return &h.ConnectionsPerSecond }),
		of(func(k *v1alpha1.KeyFigures) **int32 { return &k.PortUtilizationPercent },
			func(h *v1alpha1.History) *[]intstr.IntOrString { return &h.PortUtilizationPercent }),
		of(func(k *v1alpha1.KeyFigures) **int32 { return &k.IdleCutSeconds },
			func(h *v1alpha1.History) *[]intstr.IntOrString { return &h.IdleCutSeconds }),
		of(func(k *v1alpha1.KeyFigures) **int32 { return &k.IdleSurvivedSeconds },
			func(h *v1alpha1.History) *[]intstr.IntOrString { return &h.IdleSurvivedSeconds }),
		of(func(k *v1alpha1.KeyFigures) **int64 { return &k.StallMicroseconds },
			func(h *v1alpha1.History) *[]intstr.IntOrString { return &h.StallMicroseconds }),
		of(func(k *v1alpha1.KeyFigures) **int32 { return &k.InitialWindowSegments },
			func(h *v1alpha1.History) *[]intstr.IntOrString { return &h.InitialWindowSegments }),
	}
}

// of is the figure that stands at value in a look and in list in a history.
func of[T int32 | int64](value func(*v1alpha1.KeyFigures) **T, list func(*v1alpha1.History) *[]intstr.IntOrString) figure {
	return figure{
		write: func(h *v1alpha1.History, looks []Look) {
			values, known := make([]intstr.IntOrString, len(looks)), false
			for i := range looks {
				values[i] = intstr.FromString(unknown)
				if v := *value(&looks[i].KeyFigures); v != nil {
					values[i], known = intstr.FromInt32(int32(max(math.MinInt32, min(int64(*v), math.MaxInt32)))), true
				}
			}
			if known {
				*list(h) = values
			}
		},
		read: func(h *v1alpha1.History, looks []Look) {
			values := *list(h)
			for i := range looks[:min(len(looks), len(values))] {
				if values[i].Type == intstr.Int {
					*value(&looks[i].KeyFigures) = new(T(values[i].IntVal))
				}
			}
		},
	}
}
