package main

import (
	"slices"
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	const out = `Running 4s test @ http://127.0.0.1:9500/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.50ms    2.00ms  30.00ms   90.00%
    Req/Sec    21.00k     1.00k   23.00k    60.00%
  Latency Distribution
     50%  950.00us
     75%    1.40ms
     90%    2.30ms
     99%    1.05s
  84000 requests in 4.00s, 10.00MB read
  Non-2xx or 3xx responses: 12
Requests/sec:  21000.50
Transfer/sec:      2.50MB
`
	want := load{requests: 84000, perSecond: 21000.5, p50: 950 * time.Microsecond, p99: 1050 * time.Millisecond, refused: 12}
	if got, err := parseWrk(out); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := parseWrk("unable to connect"); err == nil {
		t.Errorf("got %+v, want an error", got)
	}
}

func TestParseCPU(t *testing.T) {
	stat := "17 (a (b) c) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 100"
	if got, err := parseCPU([]byte(stat)); err != nil || got != 3*time.Second {
		t.Errorf("got %s, %v, want 3s", got, err)
	}
	if got, err := parseCPU([]byte("17 (a) S 1")); err == nil {
		t.Errorf("got %s, want an error", got)
	}
}

func TestSteadyRounds(t *testing.T) {
	var control []sample
	for _, rate := range []float64{100, 109, 89, 50, 95, 111, 100} {
		control = append(control, sample{load: load{perSecond: rate}})
	}
	if got := steadyRounds(control); !slices.Equal(got, []int{0, 1, 4, 6}) {
		t.Errorf("got %v", got)
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{3: {5, 1, 3}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := median(values); got != want {
			t.Errorf("%v: got %v, want %v", values, got, want)
		}
	}
}

// Each row is compared with one that has no gate.
func TestRows(t *testing.T) {
	for i, row := range rows {
		if row.name == "" || rows[row.control].directives != "" || rows[row.control].control != row.control {
			t.Errorf("row %d is %+v", i, row)
		}
	}
}
