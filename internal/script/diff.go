package script

import "strings"

// diff shows want and got line by line: "- " lines are only in want, "+ " lines only in got.
func diff(want, got string) string {
	a, b := splitLines(want), splitLines(got)
	common := commonLines(a, b)
	var s strings.Builder
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			s.WriteString("  " + a[i] + "\n")
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			s.WriteString("- " + a[i] + "\n")
			i++
		default:
			s.WriteString("+ " + b[j] + "\n")
			j++
		}
	}
	return s.String()
}

// commonLines tells for each i and j how many lines a[i:] and b[j:] have in common, in order. Outputs are short: the
// table costs the product of their lengths.
func commonLines(a, b []string) [][]int {
	n := make([][]int, len(a)+1)
	for i := range n {
		n[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				n[i][j] = n[i+1][j+1] + 1
			} else {
				n[i][j] = max(n[i+1][j], n[i][j+1])
			}
		}
	}
	return n
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}
