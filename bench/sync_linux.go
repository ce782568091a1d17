package main

import (
	"os"
	"syscall"
)

// dataSync makes what was written durable, as the systems do where they can.
func dataSync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
