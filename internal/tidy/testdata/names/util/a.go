package util // want "util names no purpose"
