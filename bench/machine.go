package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// machine is where the figures come from.
type machine struct {
	Time     string   `json:"time"`
	CPU      string   `json:"cpu"`
	Cores    int      `json:"cores"`
	OS       string   `json:"os"`
	Go       string   `json:"go"`
	Dir      string   `json:"dir"`
	SyncUs   float64  `json:"syncUs"` // median of a write of 4 KiB and its sync, on a file whose blocks are there
	Versions []string `json:"versions"`
}

// syncFastUs is what no disk that keeps its word takes.
const syncFastUs = 5

func describeMachine(dir string) (machine, error) {
	m := machine{
		Time: time.Now().UTC().Format(time.RFC3339), CPU: cpuModel(), Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH + kernel(),
		Go: runtime.Version(), Dir: dir, Versions: versions(),
	}
	var err error
	m.SyncUs, err = syncTime(dir)
	return m, err
}

func (m machine) String() string {
	s := fmt.Sprintf("%s, %d cores, %s, %s; a write of 4 KiB and its sync take %s in %s", m.CPU, m.Cores, m.OS, m.Go, micros(m.SyncUs), m.Dir)
	if m.SyncUs < syncFastUs {
		s += "\nThat is no disk: name a folder on one with -dir, or what is measured is memory."
	}
	return s
}

// syncTime says what the disk takes before any system asks it.
func syncTime(dir string) (float64, error) {
	const writes, size = 200, 4096
	path := filepath.Join(dir, fmt.Sprintf("balsa-bench-sync-%d", os.Getpid()))
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer os.Remove(path)
	defer f.Close()
	block := make([]byte, size)
	if _, err := f.Write(make([]byte, writes*size)); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	var h histogram
	for i := range int64(writes) {
		start := time.Now()
		if _, err := f.WriteAt(block, i*size); err != nil {
			return 0, err
		}
		if err := dataSync(f); err != nil {
			return 0, err
		}
		h.add(time.Since(start))
	}
	return us(h.quantile(0.5)), nil
}

// cpuModel is empty-handed where /proc is not.
func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "a processor of unknown make"
}

func kernel() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	if len(b) == 0 {
		return ""
	}
	return " " + strings.TrimSpace(string(b))
}

// versions are those of the systems' modules, and the commit of the folder that this runs in.
func versions() (all []string) {
	if commit, err := exec.Command("git", "describe", "--always", "--dirty=, changed", "--abbrev=12", "--exclude=*").Output(); err == nil {
		all = append(all, "Balsa "+strings.TrimSpace(string(commit)))
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return all
	}
	for _, sys := range systems {
		for _, path := range sys.modules {
			for _, d := range info.Deps {
				if d.Path == path {
					all = append(all, d.Path+" "+d.Version)
				}
			}
		}
	}
	return all
}
