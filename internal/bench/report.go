package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// A report gathers rows and prints them as two aligned tables.
type report struct {
	out    io.Writer
	ratios [][]string
	memory [][]string
}

func newReport(out io.Writer) *report { return &report{out: out} }

// ratio adds what a comparison has shown.
func (r *report) ratio(what, against string, aim float64, pairs []pair) {
	c := compare(pairs)
	holds := "yes"
	if c.ratio.median > aim {
		holds = "NO"
	}
	r.ratios = append(r.ratios, []string{
		what, against, c.ours.duration(), c.yardstick.duration(),
		fmt.Sprintf("%.2f", c.ratio.median), fmt.Sprintf("%.2f-%.2f", c.ratio.low, c.ratio.high),
		fmt.Sprintf("<= %.1f", aim), holds, fmt.Sprint(len(pairs)),
	})
}

// process adds what the memory of a process is, in KiB: shared pages count in proportion, or whole.
func (r *report) process(what string, m memory) {
	r.memory = append(r.memory, []string{what, mib(m.pss), mib(m.rss)})
}

// derived adds a number of memory that has been calculated.
func (r *report) derived(what string, kib int) {
	r.memory = append(r.memory, []string{what, mib(kib), ""})
}

func (r *report) print() {
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	table := func(head []string, rows [][]string) {
		if len(rows) == 0 {
			return
		}
		for _, row := range append([][]string{head}, rows...) {
			for i, cell := range row {
				if i > 0 {
					fmt.Fprint(w, "\t")
				}
				fmt.Fprint(w, cell)
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w)
		_ = w.Flush()
	}
	table([]string{"what", "against", "ours", "theirs", "ratio", "half within", "aim", "holds", "pairs"}, r.ratios)
	table([]string{"memory at rest", "PSS", "RSS"}, r.memory)
}

// duration is the median of seconds in a unit that fits.
func (s spread) duration() string {
	switch {
	case s.median < 1e-3:
		return fmt.Sprintf("%.0f µs", s.median*1e6)
	case s.median < 1:
		return fmt.Sprintf("%.2f ms", s.median*1e3)
	}
	return fmt.Sprintf("%.2f s", s.median)
}

func mib(kib int) string { return fmt.Sprintf("%.1f MiB", float64(kib)/1024) }
