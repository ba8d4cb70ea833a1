package main

import "testing"

func TestMemoryOf(t *testing.T) {
	if got, err := memoryOf("Name:\tcaddy\nVmRSS:\t   51200 kB\nThreads:\t9\n"); err != nil || got != 50 {
		t.Errorf("got %v, %v, want 50", got, err)
	}
	// A node that has crashed, and that nobody has waited for yet.
	if got, err := memoryOf("Name:\tcaddy\nState:\tZ (zombie)\nThreads:\t1\n"); err == nil {
		t.Errorf("got %v, want an error", got)
	}
}
