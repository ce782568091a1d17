package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError says which flag is wrong and which one may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return &exitCodeError{exitInput, err}
	}
	name := missing.GetSpecifiedName()
	if len(name) == 1 {
		return inputError("there is no flag -%s; %s --help lists them", name, cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return inputError("there is no flag --%s%s; %s --help lists them", name, didYouMean(name, names, "--"), cmd.CommandPath())
}

// didYouMean returns a question with the known name that is nearest to the one given, prefix before it, or nothing if
// none is near.
func didYouMean(given string, known []string, prefix string) string {
	best, nearest := "", len(given)/3+2
	for _, name := range known {
		if d := editDistance(given, name); d < nearest {
			best, nearest = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s%s?)", prefix, best)
}

// editDistance is how many letters must be inserted, deleted, replaced or swapped with the next to make b of a.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
