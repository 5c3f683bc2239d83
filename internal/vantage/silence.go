package vantage

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Silence is what was found out about silent connections, in a pod of its own.
type Silence struct {
	// From says when and where.
	From v1alpha1.IdleSource
	// Idle is the measurement of that name; WebSocket the one that belongs to the measurement websocket. Nil: not made.
	Idle, WebSocket *result.Idle
}

// SilenceOf is what the result of a probe pod that stood on node says of silence.
func SilenceOf(node, pod string, r result.Result, at metav1.Time) Silence {
	s := Silence{From: v1alpha1.IdleSource{Time: at, Node: node, Pod: pod}, Idle: r.Measurements.Idle}
	if r.Measurements.WebSocket != nil {
		s.WebSocket = r.Measurements.WebSocket.Idle
	}
	return s
}

// SilenceIn is what a vantage says of silence. Nil: nothing.
func SilenceIn(v v1alpha1.Vantage) *Silence {
	m, err := measurements(v)
	if v.IdleFrom == nil || err != nil {
		return nil
	}
	s := Silence{From: *v.IdleFrom, Idle: m.Idle}
	if m.WebSocket != nil {
		s.WebSocket = m.WebSocket.Idle
	}
	return &s
}

// Put lets a vantage say it, beside what else was measured there.
func (s Silence) Put(v *v1alpha1.Vantage) error {
	m, err := measurements(*v)
	if err != nil {
		return err
	}
	v.IdleFrom, m.Idle = &s.From, s.Idle
	switch {
	case s.WebSocket == nil:
	case m.WebSocket == nil:
		m.Idle = s.WebSocket // what else WebSocket does was not asked
	default:
		m.WebSocket.Idle = s.WebSocket // the run of the others had less time
	}
	return put(v, m, MaximumBytes)
}

// ForgetSilence takes out of a vantage what was put there.
func ForgetSilence(v *v1alpha1.Vantage) error {
	if v.IdleFrom == nil {
		return nil
	}
	m, err := measurements(*v)
	if err != nil {
		return err
	}
	v.IdleFrom, m.Idle = nil, nil
	if m.WebSocket != nil {
		m.WebSocket.Idle = nil
	}
	return put(v, m, MaximumBytes)
}
