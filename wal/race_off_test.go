//go:build !race

package wal

const raced = false
