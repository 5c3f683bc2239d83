package policy

import (
	"math"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/history"
)

// listedFigure is one of the key figures.
type listedFigure struct {
	name  string
	value *int64
	// floor is how much the figure must move to be worth telling.
	floor int64
}

// listed are the key figures, by the names that they have in the API.
func listed(k v1alpha1.KeyFigures) []listedFigure {
	return []listedFigure{
		{"handshakeP99Microseconds", k.HandshakeP99Microseconds, floorMicroseconds},
		{"setupSharePercent", int64Of(k.SetupSharePercent), floorPercent},
		{"requestsAtLeast", int64Of(k.RequestsAtLeast), floorRequests},
		{"connectionsPerSecond", int64Of(k.ConnectionsPerSecond), floorRate},
		{"portUtilizationPercent", int64Of(k.PortUtilizationPercent), floorPercent},
		{"idleCutSeconds", int64Of(k.IdleCutSeconds), floorSeconds},
		{"idleSurvivedSeconds", int64Of(k.IdleSurvivedSeconds), floorSeconds},
		{"stallMicroseconds", k.StallMicroseconds, floorStall},
		{"initialWindowSegments", int64Of(k.InitialWindowSegments), floorSegments},
	}
}

func keyFigures(figures audit.KeyFigures) v1alpha1.KeyFigures {
	return v1alpha1.KeyFigures{
		HandshakeP99Microseconds: figures.HandshakeP99Microseconds,
		SetupSharePercent:        int32Of(figures.SetupSharePercent),
		RequestsAtLeast:          int32Of(figures.RequestsAtLeast),
		ConnectionsPerSecond:     int32Of(figures.ConnectionsPerSecond),
		PortUtilizationPercent:   int32Of(figures.PortUtilizationPercent),
		IdleCutSeconds:           int32Of(figures.IdleCutSeconds),
		IdleSurvivedSeconds:      int32Of(figures.IdleSurvivedSeconds),
		StallMicroseconds:        figures.StallMicroseconds,
		InitialWindowSegments:    int32Of(figures.InitialWindowSegments),
	}
}

// knowsMore says whether a has a figure that b lacks.
func knowsMore(a, b v1alpha1.KeyFigures) bool {
	ours, theirs := listed(a), listed(b)
	for i := range ours {
		if ours[i].value != nil && theirs[i].value == nil {
			return true
		}
	}
	return false
}

// delta is how the newest look differs from the one before. Nil: not significantly, or there is none.
func delta(looks []history.Look) *v1alpha1.FiguresDelta {
	if len(looks) < 2 {
		return nil
	}
	after, before := listed(looks[0].KeyFigures), listed(looks[1].KeyFigures)
	d := v1alpha1.FiguresDelta{Since: looks[1].Time}
	for i := range after {
		if before[i].value != nil && after[i].value != nil && moved(before[i].value, after[i].value, after[i].floor) {
			d.Figures = append(d.Figures, v1alpha1.FigureDelta{Name: after[i].name, Before: *before[i].value, After: *after[i].value})
		}
	}
	if len(d.Figures) == 0 {
		return nil
	}
	return &d
}

// Conversions of figures that may be unknown.

func int32Of(figure *int) *int32 {
	if figure == nil {
		return nil
	}
	return new(int32(*figure))
}

func intFrom(figure *int32) *int {
	if figure == nil {
		return nil
	}
	return new(int(*figure))
}

func rounded(figure *float64) *int32 {
	if figure == nil {
		return nil
	}
	return new(int32(math.Round(*figure)))
}

func int64Of(figure *int32) *int64 {
	if figure == nil {
		return nil
	}
	return new(int64(*figure))
}
