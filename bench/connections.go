package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// connectionClients is how many requests are under way at once, over however many connections.
const connectionClients = 1000

// runConnections builds the program, starts its "dev", and measures that with its "bench".
func (s *scale) runConnections(ctx context.Context, emit func(point)) (err error) {
	dir, err := os.MkdirTemp(s.dir, "balsa-scale-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "balsa")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/balsa")
	build.Dir = ".." // the module that this one is nested in
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the server (run this in the folder bench of the source): %w: %s", err, out)
	}
	server, endpoints, err := startDev(ctx, program, dir)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, server.Process.Signal(syscall.SIGTERM), server.Wait())
	}()
	for i, n := range connectionCounts {
		if i == 0 { // the heap grows, and connections are made for the first time
			if _, err := benchServer(ctx, program, endpoints, n, "--duration", s.length.String()); err != nil {
				return err
			}
		}
		start := processCPU(server.Process.Pid)
		if _, err := benchServer(ctx, program, endpoints, n, "--total", "1"); err != nil {
			return fmt.Errorf("%d connections: %w", n, err)
		}
		before := processCPU(server.Process.Pid)
		connecting := before - start
		r, err := benchServer(ctx, program, endpoints, n, "--duration", (2 * s.length).String())
		if err != nil {
			return fmt.Errorf("%d connections: %w", n, err)
		}
		p := point{Series: ownName, X: float64(n), Values: map[string]float64{
			valOps: r.PerSecond, valP50: r.Latency.P50, valP99: r.Latency.P99, valFailed: float64(r.Failed),
		}}
		if before > 0 {
			p.Values[valCPU] = us(max(0, processCPU(server.Process.Pid)-before-connecting)) / max(r.Requests, 1)
		}
		emit(p)
	}
	return nil
}

// freeDevPort returns a port so that it and all others of "balsa dev" with three members are free. They are below those that the system gives to
// connections, of which this program makes thousands.
func freeDevPort() (int, error) {
	var err error
	for range 1000 {
		port, taken := 10_000+rand.IntN(20_000), false
		for _, p := range []int{port, port + 1, port + 100, port + 101, port + 200, port + 201} {
			l, e := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
			if e != nil {
				taken, err = true, e
				break
			}
			l.Close()
		}
		if !taken {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free ports for balsa dev: %w", err)
}

// startDev starts three members in one process, and returns when they are ready.
func startDev(ctx context.Context, program, dir string) (*exec.Cmd, string, error) {
	port, err := freeDevPort()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, program, "dev", "--data-dir", filepath.Join(dir, "data"), "--client-port", strconv.Itoa(port), "--log-level", "info")
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, "", err
	}
	cmd.Stdout = io.Discard // a pipe: it would take the null device for a person
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	late := time.AfterFunc(leaderTimeout, func() { cmd.Process.Kill() })
	defer late.Stop()
	var all bytes.Buffer
	for scanner := bufio.NewScanner(said); scanner.Scan(); {
		fmt.Fprintln(&all, scanner.Text())
		if strings.Contains(scanner.Text(), "cluster is ready") {
			go io.Copy(io.Discard, said)
			return cmd, fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d", port, port+100, port+200), nil
		}
	}
	return nil, "", fmt.Errorf("balsa dev has ended: %w: %s", cmd.Wait(), &all)
}

// serverRun is what is read of the report of "balsa bench".
type serverRun struct {
	Requests  float64 `json:"requests"`
	PerSecond float64 `json:"perSecond"`
	Failed    float64 `json:"failed"`
	Latency   struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
	} `json:"latencyMicroseconds"`
}

func benchServer(ctx context.Context, program, endpoints string, connections int, end ...string) (serverRun, error) {
	args := append([]string{"bench", "put", "--endpoints", endpoints, "--clients", strconv.Itoa(connectionClients), "--connections", strconv.Itoa(connections), "--write-out", "json"}, end...)
	cmd := exec.CommandContext(ctx, program, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return serverRun{}, fmt.Errorf("balsa bench: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	var r struct {
		Operations []serverRun `json:"operations"`
	}
	if err := json.Unmarshal(out, &r); err != nil || len(r.Operations) != 1 {
		return serverRun{}, fmt.Errorf("balsa bench wrote %s: %w", out, err)
	}
	return r.Operations[0], nil
}

// clockTicks is how finely Linux counts the CPU of processes, a second: USER_HZ, which is the same everywhere.
const clockTicks = 100

// processCPU is what a process has used of all processors; zero where /proc is not.
func processCPU(pid int) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ") // the name may have anything in it
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / clockTicks
}
