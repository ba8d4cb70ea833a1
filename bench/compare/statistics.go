package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// steady is how far the ungated row of a round may be from the median of all rounds. Rounds beyond it are not counted: the
// machine was busy with something else.
const steady = 0.10

// steadyRounds are those whose ungated row was as fast as usual. There is at least one.
func steadyRounds(control []sample) []int {
	usual := median(column(control, func(s sample) float64 { return s.perSecond }))
	var rounds []int
	nearest := 0
	for i, s := range control {
		if math.Abs(s.perSecond-usual) <= steady*usual {
			rounds = append(rounds, i)
		}
		if math.Abs(s.perSecond-usual) < math.Abs(control[nearest].perSecond-usual) {
			nearest = i
		}
	}
	if rounds == nil {
		return []int{nearest}
	}
	return rounds
}

// pick takes the samples of the given rounds.
func pick(all []sample, rounds []int) []sample {
	picked := make([]sample, 0, len(rounds))
	for _, round := range rounds {
		picked = append(picked, all[round])
	}
	return picked
}

// column takes one figure of each sample.
func column(samples []sample, figure func(sample) float64) []float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, figure(s))
	}
	return values
}

// pairs takes one figure of each sample and the control's of the same round.
func pairs(samples, control []sample, figure func(s, c sample) float64) []float64 {
	values := make([]float64, 0, len(samples))
	for i, s := range samples {
		values = append(values, figure(s, control[i]))
	}
	return values
}

// spread writes a median and, in parentheses, the range.
func spread(values []float64, format string) string {
	middle := fmt.Sprintf(format, median(values))
	if len(values) < 2 {
		return middle
	}
	return fmt.Sprintf("%s ("+format+" to "+format+")", middle, slices.Min(values), slices.Max(values))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
