package result

// Field is one measurement of a Measurements, by name.
type Field struct {
	// Name in JSON, on the command line and in policies.
	Name string
	// Meta returns what the measurement says about itself, nil if it was not asked for.
	Meta func(*Measurements) *Meta
	// Conclude sets the measurement to one that has no figures, only an outcome.
	Conclude func(*Measurements, Meta)
	// Drop takes the measurement out and says whether it was there.
	Drop func(*Measurements) bool
}

// Fields lists all measurements. What stands first is dropped first where room is short: what a person asks for by name
// and what explains, before what the rules stand on.
func Fields() []Field {
	return []Field{
		field("backlog", func(m *Measurements) **Backlog { return &m.Backlog }, func(v *Backlog) *Meta { return &v.Meta }),
		field("push", func(m *Measurements) **Push { return &m.Push }, func(v *Push) *Meta { return &v.Meta }),
		field("closing", func(m *Measurements) **Closing { return &m.Closing }, func(v *Closing) *Meta { return &v.Meta }),
		field("pipelining", func(m *Measurements) **Pipelining { return &m.Pipelining }, func(v *Pipelining) *Meta { return &v.Meta }),
		field("pathMTU", func(m *Measurements) **PathMTU { return &m.PathMTU }, func(v *PathMTU) *Meta { return &v.Meta }),
		field("parallel", func(m *Measurements) **Parallel { return &m.Parallel }, func(v *Parallel) *Meta { return &v.Meta }),
		field("identity", func(m *Measurements) **Identity { return &m.Identity }, func(v *Identity) *Meta { return &v.Meta }),
		field("dns", func(m *Measurements) **DNS { return &m.DNS }, func(v *DNS) *Meta { return &v.Meta }),
		field("slowStart", func(m *Measurements) **SlowStart { return &m.SlowStart }, func(v *SlowStart) *Meta { return &v.Meta }),
		field("smallWrites", func(m *Measurements) **SmallWrites { return &m.SmallWrites }, func(v *SmallWrites) *Meta { return &v.Meta }),
		field("http2", func(m *Measurements) **HTTP2 { return &m.HTTP2 }, func(v *HTTP2) *Meta { return &v.Meta }),
		field("websocket", func(m *Measurements) **WebSocket { return &m.WebSocket }, func(v *WebSocket) *Meta { return &v.Meta }),
		field("idle", func(m *Measurements) **Idle { return &m.Idle }, func(v *Idle) *Meta { return &v.Meta }),
		field("timeWait", func(m *Measurements) **TimeWait { return &m.TimeWait }, func(v *TimeWait) *Meta { return &v.Meta }),
		field("reuse", func(m *Measurements) **Reuse { return &m.Reuse }, func(v *Reuse) *Meta { return &v.Meta }),
		field("handshake", func(m *Measurements) **Handshake { return &m.Handshake }, func(v *Handshake) *Meta { return &v.Meta }),
	}
}

// Outcomes returns what became of each measurement that was asked for, by name.
func (m *Measurements) Outcomes() map[string]Meta {
	outcomes := map[string]Meta{}
	for _, f := range Fields() {
		if meta := f.Meta(m); meta != nil {
			outcomes[f.Name] = *meta
		}
	}
	return outcomes
}

// field builds the entry of one measurement from where it lies and where it says what became of it.
func field[T any](name string, at func(*Measurements) **T, meta func(*T) *Meta) Field {
	return Field{
		Name: name,
		Meta: func(m *Measurements) *Meta {
			if *at(m) == nil {
				return nil
			}
			return meta(*at(m))
		},
		Conclude: func(m *Measurements, outcome Meta) {
			*at(m) = new(T)
			*meta(*at(m)) = outcome
		},
		Drop: func(m *Measurements) bool {
			had := *at(m) != nil
			*at(m) = nil
			return had
		},
	}
}
