package main

import (
	"slices"
	"strings"
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
  Socket errors: connect 0, read 1, write 0, timeout 2
  Non-2xx or 3xx responses: 12
Requests/sec:  21000.50
Transfer/sec:      2.50MB
`
	want := load{requests: 84000, perSecond: 21000.5, p50: 950 * time.Microsecond, p99: 1050 * time.Millisecond, refused: 12, failed: 3}
	if got, err := parseWrk(out); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := parseWrk("unable to connect"); err == nil {
		t.Errorf("got %+v, want an error", got)
	}
}

func TestParseProcess(t *testing.T) {
	stat := "17 (a (b) c) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 100"
	if got, err := parseProcess([]byte(stat)); err != nil || got != 3*time.Second {
		t.Errorf("got %s, %v, want 3s", got, err)
	}
	for _, stat := range []string{"", "17 (a) S 1", strings.ReplaceAll(stat, "250", "x")} {
		if got, err := parseProcess([]byte(stat)); err == nil {
			t.Errorf("%q: got %s, want an error", stat, got)
		}
	}
}

func TestParseCores(t *testing.T) {
	const stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 0 50 800 40 0 5 5 0 0\ncpu1 10 10 10 10 10 10 10 10 10 10\nintr 1\n"
	want := []core{{1600 * time.Millisecond, 10 * time.Second}, {600 * time.Millisecond, 800 * time.Millisecond}}
	if got, err := parseCores([]byte(stat), 2); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err := parseCores([]byte(stat), 3); err == nil {
		t.Errorf("got %v, want an error", got)
	}
}

func TestSteadyRounds(t *testing.T) {
	for _, tt := range []struct {
		rates []float64
		want  []int
	}{
		{[]float64{100, 109, 89, 50, 95, 111, 100}, []int{0, 1, 4, 6}},
		{[]float64{70}, []int{0}},
		{[]float64{100, 190}, []int{0}}, // both are far from what is between them
	} {
		var control []sample
		for _, rate := range tt.rates {
			control = append(control, sample{load: load{perSecond: rate}})
		}
		if got := steadyRounds(control); !slices.Equal(got, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.rates, got, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{3: {5, 1, 3}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := median(values); got != want {
			t.Errorf("%v: got %v, want %v", values, got, want)
		}
	}
}

// Each row is measured against the control of its own round, and where a core has no time to spare, the table says so.
func TestTable(t *testing.T) {
	of := func(caddy time.Duration, rate, generator, busy float64) sample {
		return sample{load: load{requests: 1, perSecond: rate}, caddy: caddy, generator: generator, busy: busy, others: 0.03}
	}
	const us = time.Microsecond
	r := new(report)
	r.table(table{title: "some", rows: []int{ungated, gate, adapterUncached}}, [][]sample{
		{of(10*us, 100, 0.5, 0.6), of(20*us, 105, 0.5, 0.6), of(0, 10, 0.5, 0.6)},
		{of(12*us, 90, 0.5, 0.6), of(24*us, 84, 0.7, 0.8), of(9*us, 10, 0.1, 0.2)},
		{of(90*us, 30, 0.6, 0.96), of(100*us, 21, 0.7, 0.98), of(9*us, 1, 0.1, 0.2)},
	})
	for _, want := range []string{
		"| ungated | in all 15.0 (10.0 to 20.0) | per s 102 (100 to 105) |",
		"| `bws`, token in a cookie | 3.0 (2.0 to 4.0) | 0.85 (0.80 to 0.90) |",
		"| 60 % |",
		"| 65 %, **with others 97 %** |",
		"serves 3.5 (3.0 to 4.0) times",
		"Rejected rounds: 1 of 3.",
		"had 3 (3 to 3) % of",
	} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("no %q in\n%s", want, r)
		}
	}
}

// All rows send requests of about the same size, or the time to read them would count as added.
func TestRows(t *testing.T) {
	for _, one := range tables {
		if one.rows[0] != ungated {
			t.Errorf("%s: there is nothing to compare with", one.title)
		}
	}
	size := func(i int) (n int) {
		for name, values := range rows[i].headers(strings.Repeat("t", 400)) {
			n += len(name) + len(strings.Join(values, ""))
		}
		return n
	}
	for i, row := range rows {
		if d := size(i) - size(ungated); d < -50 || d > 50 {
			t.Errorf("%s sends %d bytes more than the control", row.name, d)
		}
	}
}
