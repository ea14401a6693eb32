package yamltext

import (
	"cmp"
	"unicode"
)

// natural orders keys: letters by their code, so upper case first; digits before letters; other characters before
// both; and numbers in the text by their value, so x9 comes before x10.
func natural(a, b string) int {
	x, y := []rune(a), []rune(b)
	for i := range min(len(x), len(y)) {
		if x[i] == y[i] {
			continue
		}
		switch xl, yl := unicode.IsLetter(x[i]), unicode.IsLetter(y[i]); {
		case xl && yl:
			return cmp.Compare(x[i], y[i])
		case xl:
			return 1
		case yl:
			return -1
		}
		lead := int64(0)
		if (x[i] == '0' || y[i] == '0') && inNumber(x[:i]) {
			lead = 1 // so that a zero after other digits counts
		}
		xn, xend := number(x, i, lead)
		yn, yend := number(y, i, lead)
		return cmp.Or(cmp.Compare(xn, yn), cmp.Compare(xend, yend), cmp.Compare(x[i], y[i]))
	}
	return cmp.Compare(len(x), len(y))
}

// inNumber says whether text ends in digits that are not all zeros.
func inNumber(text []rune) bool {
	for i := len(text) - 1; i >= 0 && unicode.IsDigit(text[i]); i-- {
		if text[i] != '0' {
			return true
		}
	}
	return false
}

// number is the value of the digits from i on, after those before, and where they end.
func number(text []rune, i int, n int64) (int64, int) {
	for ; i < len(text) && unicode.IsDigit(text[i]); i++ {
		n = n*10 + int64(text[i]-'0')
	}
	return n, i
}
