package tidy

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestLimits: a limit that no test shows is a hope.
func TestLimits(t *testing.T) {
	text, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	expectNone(t, checkLimits("docs/limits.md", text, bugTests(t, loadModule(t))))
}

func TestLimitsPlanted(t *testing.T) {
	tests := map[string]bool{"host.TestX": true}
	for row, want := range map[string]string{
		"| a | 1 | 2 | 3 | 4 | `host.TestX` |":   "",
		"| a | 1 | 2 | 3 | 4 | none: why |":      "",
		"| a | 1 | 2 | 3 | 4 | `host.TestY` |":   "there is no test host.TestY",
		"| a | 1 | 2 | 3 | 4 | none |":           "names no test",
		"| a | 1 | 2 | 3 | `host.TestX` |":       "5 cells",
		"| what | 1 | 2 | 3 | 4 | test |\n|---|": "",
	} {
		found := checkLimits("limits.md", []byte(row+"\n"), tests)
		if want == "" && len(found) > 0 || !strings.Contains(fmt.Sprint(found), want) {
			t.Errorf("%s: found %v", row, found)
		}
	}
}

// checkLimits finds rows without a test, or with one that does not exist.
func checkLimits(name string, text []byte, tests map[string]bool) (found []finding) {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		row := string(bytes.TrimSpace(line))
		if !strings.HasPrefix(row, "| ") || strings.HasPrefix(row, "| what |") {
			continue
		}
		cells := strings.Split(strings.Trim(row, "|"), "|")
		if len(cells) != 6 {
			found = append(found, finding{name, n, fmt.Sprintf("%d cells, not 6", len(cells))})
			continue
		}
		shown := strings.TrimSpace(cells[5])
		named := codeFont.FindAllStringSubmatch(shown, -1)
		why, none := strings.CutPrefix(shown, "none: ")
		if len(named) == 0 && (!none || why == "") {
			found = append(found, finding{name, n, "it names no test, and does not say why there is none"})
		}
		for _, test := range named {
			if !none && !tests[test[1]] {
				found = append(found, finding{name, n, "there is no test " + test[1]})
			}
		}
	}
	return found
}
