// Package two is here.
package two
