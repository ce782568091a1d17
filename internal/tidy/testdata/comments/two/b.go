// Package two is here, too.
package two // want "a second package comment"
