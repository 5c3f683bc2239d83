package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/connpolicy/connpolicy/hack/bench/bed"
	"github.com/connpolicy/connpolicy/hack/bench/figures"
)

const (
	// requestBlock is the shortest that wrk can do.
	requestBlock  = time.Second
	requestWarmup = 100
)

// benchRequests compares requests on one kept connection with wrk, against a server in C that takes one connection at a
// time and does nothing but answer.
//
// Server and client stay on one processor, where the scheduler likes to put them. On two, most of the time would go into
// waking the other one up, and which of the two it is would be left to chance.
func benchRequests(ctx context.Context, s *stand) ([]figures.Figure, error) {
	server, err := s.bed.Server.Pinned().StartReady(ctx, s.yardstick("answer"), bed.ServerAddress, serverPort)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	remote := bed.ServerAddress + ":" + serverPort
	var probe blocks
	var wrk []float64
	err = interleave(ctx, s.length,
		func() error {
			program, err := s.bed.Client.Start(ctx, s.worker, "request", remote)
			if err != nil {
				return err
			}
			defer program.Stop()
			return probe.ask(program, requestWarmup, requestBlock)
		},
		func() error {
			output, err := s.bed.Client.Pinned().Run(ctx, "wrk", "-t1", "-c1", "-d1s", "http://"+remote+"/")
			if err != nil {
				return err
			}
			perSecond, err := parseWrk(output)
			wrk = append(wrk, perSecond)
			return err
		})
	if err != nil {
		return nil, err
	}
	return []figures.Figure{
		figures.Compare("requests on one kept connection", "/s", probe.perSecond, "wrk -t1 -c1", wrk, figures.Bound{AtLeast: 0.9}),
	}, nil
}

// parseWrk finds the rate in what wrk prints. Answers that it did not like make it worthless.
func parseWrk(output []byte) (float64, error) {
	if errors := regexp.MustCompile(`(?m)^\s*(Socket errors|Non-2xx).*$`).Find(output); errors != nil {
		return 0, fmt.Errorf("wrk: %s", errors)
	}
	rate := regexp.MustCompile(`Requests/sec:\s*([0-9.]+)`).FindSubmatch(output)
	if rate == nil {
		return 0, fmt.Errorf("wrk told no rate: %s", output)
	}
	return strconv.ParseFloat(string(rate[1]), 64)
}
