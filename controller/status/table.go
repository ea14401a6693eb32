package status

import (
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Color is an ANSI colour of a cell.
type Color string

// The colours that cells have.
const (
	Plain   Color = ""
	Bold    Color = "1"
	Red     Color = "31"
	Green   Color = "32"
	Yellow  Color = "33"
	Magenta Color = "35"
	Cyan    Color = "36"
	Grey    Color = "90"
)

// A Cell is one cell of a table.
type Cell struct {
	Text  string
	Color Color
}

// A Table is rows of cells under a header. Cells are padded to the width of their column.
type Table struct {
	Header []string
	Right  []int // the columns that are aligned to the right
	Rows   [][]Cell
}

// Add adds a row. A column after the last cell is empty.
func (t *Table) Add(cells ...Cell) { t.Rows = append(t.Rows, cells) }

// WriteTables writes the tables that have rows, one blank line between them.
func WriteTables(w io.Writer, color bool, tables ...Table) error {
	var out strings.Builder
	for _, t := range tables {
		if len(t.Rows) == 0 {
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		t.write(&out, color)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (t Table) write(out *strings.Builder, color bool) {
	widths := make([]int, len(t.Header))
	header := make([]Cell, len(t.Header))
	for i, h := range t.Header {
		header[i] = Cell{h, Bold}
	}
	rows := append([][]Cell{header}, t.Rows...)
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.Text))
		}
	}
	for _, row := range rows {
		for i := range widths {
			var c Cell
			if i < len(row) {
				c = row[i]
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.Text))
			text := c.Text
			if color && c.Color != Plain && text != "" {
				text = "\x1b[" + string(c.Color) + "m" + text + "\x1b[0m"
			}
			if slices.Contains(t.Right, i) {
				out.WriteString(pad + text)
			} else {
				out.WriteString(text + pad)
			}
			if i < len(widths)-1 {
				out.WriteString("  ")
			}
		}
		out.WriteByte('\n')
	}
}

// Paint is the colour of a word of a status.
func Paint(word string) Color {
	for color, words := range map[Color]string{
		Green:  " active idle running started executing attached available joined applied completed ",
		Yellow: " allocating lost maintenance pending rebooting stopped unknown detaching detached suspending terminating dying ",
		Red:    " blocked down error failed terminated provisioning-error broken ",
	} {
		if strings.Contains(words, " "+strings.ReplaceAll(strings.ToLower(word), " ", "-")+" ") {
			return color
		}
	}
	return Plain
}
