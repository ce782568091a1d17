package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"
)

func TestSniff(t *testing.T) {
	for _, test := range []struct {
		in   string
		grpc bool
		seen string // with an early end: nothing
		err  bool
	}{
		{in: preface, grpc: true, seen: preface},
		{in: preface + "\x00\x00\x00\x04", grpc: true, seen: preface},
		{in: "GET / HTTP/1.1\r\n", seen: "G"},
		{in: "PUT / HTTP/1.1\r\n", seen: "PU"},
		{in: "PRI * HTTP/1.1\r\n", seen: "PRI * HTTP/1"},
		{in: "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", seen: "PRI * HTTP/2.0\r\n\r\nX"},
		{in: "\x16\x03\x01\x02\x00\x01\x00", seen: "\x16"},
		{in: "\x00", seen: "\x00"},
		{in: "", err: true},
		{in: "PRI", err: true},
		{in: preface[:len(preface)-1], err: true},
	} {
		for name, r := range map[string]io.Reader{
			"bytes one by one": iotest.OneByteReader(strings.NewReader(test.in)),
			"with the end":     iotest.DataErrReader(iotest.OneByteReader(strings.NewReader(test.in))),
		} {
			seen, isGRPC, err := sniff(r)
			if isGRPC != test.grpc || string(seen) != test.seen || (err != nil) != test.err {
				t.Errorf("%q, %s: %q %v %v", test.in, name, seen, isGRPC, err)
			}
		}
		// All at once: whatever was read is given back, so nothing is lost.
		seen, isGRPC, err := sniff(strings.NewReader(test.in))
		if isGRPC != test.grpc || !strings.HasPrefix(test.in, string(seen)) || (err != nil) != test.err {
			t.Errorf("%q, at once: %q %v %v", test.in, seen, isGRPC, err)
		}
	}
}

func FuzzSniff(f *testing.F) {
	f.Add([]byte(preface))
	f.Add([]byte("PRI * HTTP/1.1"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		seen, isGRPC, err := sniff(iotest.OneByteReader(strings.NewReader(string(in))))
		if want := strings.HasPrefix(string(in), preface); isGRPC != want {
			t.Fatalf("%q: gRPC %v", in, isGRPC)
		}
		if err == nil && !strings.HasPrefix(string(in), string(seen)) {
			t.Fatalf("%q: gives back %q", in, seen)
		}
		if err != nil && !strings.HasPrefix(preface, string(in)) {
			t.Fatalf("%q: %v", in, err)
		}
	})
}

// TestHostileConnections: whatever some say, the others are answered.
func TestHostileConnections(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	var held []net.Conn
	for _, first := range []string{"", "P", "PRI * HTTP/2.0\r\n\r\n", preface, preface + "\xff\xff\xff\xff\xff\xff", "\x16\x03\x01\x02", "GET", "\x00\x00", preface + preface} {
		c, err := net.Dial("tcp", s.address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(first)); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	if got := (caller{t, s.conn}).call("Put", `key:"a"`); !strings.HasPrefix(got, "header:") {
		t.Errorf("gRPC: %s", got)
	}
	if code, _ := httpGet(t, s, "/health"); code != 200 {
		t.Errorf("HTTP: %d", code)
	}
	// A stop does not wait for those that say nothing.
	begin := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > sniffTimeout/2 {
		t.Errorf("Close took %v", took)
	}
	for _, c := range held {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, context.DeadlineExceeded) {
			t.Error("a connection is open after Close")
		}
	}
}

// A request that comes in pieces, the first of them one byte.
func TestSlowRequest(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	c, err := net.Dial("tcp", s.address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, piece := range []string{"P", "RI", "NT /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"} {
		if _, err := c.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("%s", r.Status)
	}
}

func TestHealthService(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	client := grpc_health_v1.NewHealthClient(s.conn)
	check := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		r, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil || r.Status != want {
			t.Errorf("%v %v, want %v", r, err, want)
		}
	}
	check(grpc_health_v1.HealthCheckResponse_SERVING)
	s.node.Close()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if r, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{}); err == nil && r.Status == grpc_health_v1.HealthCheckResponse_NOT_SERVING {
			break
		}
	}
	check(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
}
