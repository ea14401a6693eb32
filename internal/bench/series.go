package main

import (
	"context"
	"slices"
	"time"
)

// A pair is one measurement of ours and, right beside it, one of the yardstick.
type pair struct{ ours, yardstick time.Duration }

// inTurns measures ours and the yardstick n times each, in turns, so that whatever else the machine does falls on both.
// Which of the two comes first changes. The first pairs only warm up and do not count.
func inTurns(ctx context.Context, n int, ours, yardstick func(context.Context) (time.Duration, error)) ([]pair, error) {
	warm := min(n/10+1, 10)
	var out []pair
	for i := range warm + n {
		var p pair
		var err error
		first, second := func() { p.ours, err = ours(ctx) }, func() { p.yardstick, err = yardstick(ctx) }
		if i%2 == 1 {
			first, second = second, first
		}
		if first(); err == nil {
			second()
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if i >= warm {
			out = append(out, p)
		}
	}
	return out, nil
}

// timed is how long do takes.
func timed(do func() error) (time.Duration, error) {
	start := time.Now()
	err := do()
	return time.Since(start), err
}

// A spread is the median of numbers, and the range that the middle half of them lies in.
type spread struct{ low, median, high float64 }

func spreadOf(pairs []pair, value func(pair) float64) spread {
	var v []float64
	for _, p := range pairs {
		v = append(v, value(p))
	}
	slices.Sort(v)
	at := func(q float64) float64 { // between the two neighbours
		x := q * float64(len(v)-1)
		i := int(x)
		if i+1 >= len(v) {
			return v[i]
		}
		return v[i] + (v[i+1]-v[i])*(x-float64(i))
	}
	return spread{at(0.25), at(0.5), at(0.75)}
}

// A comparison is what pairs show: each side, and how many times the yardstick ours takes, in each pair.
type comparison struct{ ours, yardstick, ratio spread }

func compare(pairs []pair) comparison {
	return comparison{
		ours:      spreadOf(pairs, func(p pair) float64 { return p.ours.Seconds() }),
		yardstick: spreadOf(pairs, func(p pair) float64 { return p.yardstick.Seconds() }),
		ratio:     spreadOf(pairs, func(p pair) float64 { return p.ours.Seconds() / p.yardstick.Seconds() }),
	}
}
