package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
)

// A termination message begins with one header line: the magic, the length of the JSON behind it in bytes, and its
// CRC-32 (IEEE). The kubelet cuts the tail of a message that is too long; length and checksum show it.
const messageMagic = "connpolicy1"

// Errors of DecodeMessage.
var (
	// ErrNoResult: the message is empty or not one of ours, such as the log of a crash.
	ErrNoResult = errors.New("not a probe result")
	// ErrTruncated: the message is shorter than it says.
	ErrTruncated = errors.New("the probe result was cut off")
	// ErrCorrupt: the message does not have the checksum or the content that it says.
	ErrCorrupt = errors.New("the probe result is corrupt")
	// ErrVersion: the message is of a version that this reader does not know.
	ErrVersion = errors.New("the probe result has an unknown version")
	// ErrBudget: not even the result without settings and measurements fits the budget.
	ErrBudget = errors.New("the probe result does not fit its budget")
)

// EncodeMessage renders r as a termination message of at most budgetBytes. Figures are rounded to four significant digits.
// What does not fit is dropped whole and named in Dropped: too many status codes, the settings, then measurements. It fails with ErrBudget if even the rest does not fit.
func EncodeMessage(r Result, budgetBytes int) ([]byte, error) {
	drops := dropOrder(&r)
	for {
		body, err := compact(r)
		if err != nil {
			return nil, fmt.Errorf("encode the probe result: %w", err)
		}
		header := fmt.Sprintf("%s %d %08x\n", messageMagic, len(body), crc32.ChecksumIEEE(body))
		if len(header)+len(body) <= budgetBytes {
			return append([]byte(header), body...), nil
		}
		dropped := false
		for len(drops) > 0 && !dropped {
			if dropped = drops[0].drop(); dropped {
				r.Dropped = append(r.Dropped[:len(r.Dropped):len(r.Dropped)], drops[0].name)
			}
			drops = drops[1:]
		}
		if !dropped {
			return nil, fmt.Errorf("%w: %d bytes without any measurement, budget %d", ErrBudget, len(header)+len(body), budgetBytes)
		}
	}
}

// drop takes one thing out of a result and says whether it was there.
type drop struct {
	name string
	drop func() bool
}

// usualStatuses is how many different status codes a run may see of a server that means what it says.
const usualStatuses = 16

// dropOrder names what is dropped to fit a budget, the first first. The settings are not what a run is for, and a list of
// reserved ports can be longer than all else; so can the status codes of a server that makes them up.
func dropOrder(r *Result) []drop {
	drops := []drop{
		{"statuses", func() bool {
			many := len(r.Statuses) > usualStatuses
			if many {
				r.Statuses = nil
			}
			return many
		}},
		{"sysctls", func() bool { had := r.Host.Sysctls != nil; r.Host.Sysctls = nil; return had }},
	}
	for _, f := range Fields() {
		drops = append(drops, drop{f.Name, func() bool { return f.Drop(&r.Measurements) }})
	}
	return drops
}

// DecodeMessage reads a termination message. Its errors wrap ErrNoResult, ErrTruncated, ErrCorrupt or ErrVersion.
func DecodeMessage(message []byte) (Result, error) {
	header, body, found := bytes.Cut(message, []byte("\n"))
	var length int
	var checksum uint32
	if !found {
		return Result{}, ErrNoResult
	}
	if _, err := fmt.Sscanf(string(header), messageMagic+" %d %08x", &length, &checksum); err != nil || length < 0 {
		return Result{}, ErrNoResult
	}
	if len(body) < length {
		return Result{}, fmt.Errorf("%w: %d of %d bytes arrived", ErrTruncated, len(body), length)
	}
	body = body[:length]
	if crc32.ChecksumIEEE(body) != checksum {
		return Result{}, fmt.Errorf("%w: checksum", ErrCorrupt)
	}
	var r Result
	if err := json.Unmarshal(body, &r); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if r.Version != Version {
		return Result{}, fmt.Errorf("%w: %q, this reader knows %q", ErrVersion, r.Version, Version)
	}
	return r, nil
}
