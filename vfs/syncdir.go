//go:build !windows && !plan9

package vfs

import "os"

func syncDir(d *os.File) error { return d.Sync() }
