package conformance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The programs under test; set by TestMain. programs is the folder of the real etcd's.
var programs, balsaProgram string

func etcdProgram() string                  { return filepath.Join(programs, "etcd-3.7") }
func etcdctlProgram(version string) string { return filepath.Join(programs, "etcdctl-"+version) }

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// say tells whoever waits what was done. In this folder, "go test" shows it without -v.
func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "balsa-conformance-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	workDir = dir
	if err := build(); err != nil {
		fmt.Println(err)
		return 1
	}
	code := m.Run()
	if everyTest := flag.Lookup("test.run").Value.String() == ""; everyTest && !allNeeded() {
		code = 1
	}
	if !stopAll() {
		code = 1
	}
	return code
}

func build() error {
	script := exec.Command("bash", "build.sh", "etcd-3.7", "etcdctl-3.7", "etcdctl-3.6")
	script.Stderr = os.Stderr
	out, err := script.Output()
	if err != nil {
		return fmt.Errorf("build.sh: %w", err)
	}
	programs = strings.TrimSpace(string(out))
	say("etcd and etcdctl are in %s", programs)

	// In Balsa's own module: with this one's requirements it could be built of other versions than those it ships with.
	balsaProgram = filepath.Join(workDir, "balsa")
	compile := exec.Command("go", "build", "-o", balsaProgram, "./cmd/balsa")
	compile.Dir = ".."
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/balsa: %w\n%s", err, out)
	}
	return nil
}
