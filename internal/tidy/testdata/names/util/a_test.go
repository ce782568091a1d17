package util_test // want "util names no purpose"
