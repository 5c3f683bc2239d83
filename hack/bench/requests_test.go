package main

import "testing"

func TestParseWrk(t *testing.T) {
	const good = "  1 threads and 1 connections\n  56852 requests in 1.00s, 3.63MB read\nRequests/sec:  56851.65\nTransfer/sec:      3.63MB\n"
	if rate, err := parseWrk([]byte(good)); err != nil || rate != 56851.65 {
		t.Errorf("%v, %v", rate, err)
	}
	for _, bad := range []string{
		"",
		"unable to connect",
		"  Non-2xx or 3xx responses: 4\n" + good,
		"  Socket errors: connect 0, read 3, write 0, timeout 0\n" + good,
	} {
		if rate, err := parseWrk([]byte(bad)); err == nil {
			t.Errorf("%q gave %v", bad, rate)
		}
	}
}
