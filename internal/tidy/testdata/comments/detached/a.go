// Package detached is cut off by the blank line.

package detached // want "no file of the package"
