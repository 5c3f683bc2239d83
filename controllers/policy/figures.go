package policy

import "math"

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
