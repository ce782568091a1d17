package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// client is how the commands that read and write reach a cluster. Its flags are etcdctl's.
type client struct {
	endpoints            []string
	dialTimeout, timeout time.Duration
	write                string // output format
	hint                 string // what to do if no server can be reached; for --endpoints if it is empty
}

// addClientFlags adds the flags that all commands of clients share.
func (a *app) addClientFlags(cmd *cobra.Command, c *client) {
	fs := cmd.Flags()
	fs.StringSliceVar(&c.endpoints, "endpoints", []string{"127.0.0.1:2379"}, "servers to ask, the first that answers is used")
	fs.DurationVar(&c.dialTimeout, "dial-timeout", 2*time.Second, "how long to wait for a connection")
	fs.DurationVar(&c.timeout, "command-timeout", 5*time.Second, "how long to wait for an answer")
	fs.StringVarP(&c.write, "write-out", "w", "simple", "simple, json or table")
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := a.clientEnvironment(cmd.Flags()); err != nil {
			return err
		}
		if err := c.check(); err != nil {
			return err
		}
		return inner(cmd, args)
	}
}

// clientSettings are the shared flags that can be set in the environment.
var clientSettings = []string{"endpoints", "dial-timeout", "command-timeout", "write-out"}

// clientEnvironment sets the shared flags that were not given from BALSA_* or ETCDCTL_*.
func (a *app) clientEnvironment(fs *pflag.FlagSet) error {
	for _, name := range clientSettings {
		if fs.Changed(name) {
			continue
		}
		suffix := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		for _, variable := range []string{"BALSA_" + suffix, "ETCDCTL_" + suffix} {
			value := a.getenv(variable)
			if value == "" {
				continue
			}
			if err := fs.Set(name, value); err != nil {
				return inputError("%s: %w", variable, err)
			}
			break
		}
	}
	return nil
}

func (c *client) check() error {
	switch c.write {
	case "simple", "json", "table":
	default:
		return inputError("--write-out %q: choose simple, json or table", c.write)
	}
	if c.dialTimeout <= 0 || c.timeout <= 0 {
		return inputError("--dial-timeout and --command-timeout must be more than 0")
	}
	var checked []string
	for _, e := range c.endpoints {
		address, err := endpointAddress(strings.TrimSpace(e))
		if err != nil {
			return inputError("--endpoints: %w", err)
		}
		checked = append(checked, address)
	}
	if len(checked) == 0 {
		return inputError("--endpoints must name a server")
	}
	c.endpoints = checked
	return nil
}

// endpointAddress returns the host:port of an endpoint, which may be a URL.
func endpointAddress(e string) (string, error) {
	if strings.Contains(e, "://") {
		u, err := url.Parse(e)
		if err != nil || u.Scheme != "http" {
			return "", fmt.Errorf("%q: write HOST:PORT or http://HOST:PORT; TLS is not supported yet", e)
		}
		e = u.Host
	}
	if host, port, err := net.SplitHostPort(e); err != nil || port == "" || host == "" {
		return "", fmt.Errorf("%q: write HOST:PORT", e)
	}
	return e, nil
}

// connectError is an endpoint that could not be reached.
type connectError struct {
	endpoint string
	err      error
}

func (e *connectError) Error() string { return fmt.Sprintf("%s: %v", e.endpoint, e.err) }
func (e *connectError) Unwrap() error { return e.err }

// dial connects to one endpoint. It returns only once the connection stands, so that a call on it that fails may
// have been received.
func (c *client) dial(ctx context.Context, endpoint string) (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.dialTimeout)
	defer cancel()
	var dialErr atomic.Pointer[error] // set by gRPC's goroutine
	conn, err := grpc.NewClient("passthrough:///"+endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1)),
		grpc.WithContextDialer(func(dialCtx context.Context, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(dialCtx, "tcp", address)
			if err != nil {
				dialErr.Store(&err)
			}
			return c, err
		}))
	if err != nil {
		return nil, &connectError{endpoint, err}
	}
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure {
			conn.Close()
			return nil, &connectError{endpoint, shortDialError(dialErr.Load())}
		}
		if !conn.WaitForStateChange(ctx, state) {
			conn.Close()
			return nil, &connectError{endpoint, errors.New("no connection within " + c.dialTimeout.String())}
		}
	}
	return conn, nil
}

// shortDialError leaves away the address, which is said already.
func shortDialError(err *error) error {
	if err == nil {
		return errors.New("the server does not speak gRPC")
	}
	var op *net.OpError
	if errors.As(*err, &op) && op.Err != nil {
		var call *os.SyscallError
		if errors.As(op.Err, &call) {
			return call.Err
		}
		return op.Err
	}
	return *err
}

// call makes one call to the first endpoint that takes it. A call that is not safe to repeat goes to another
// endpoint only if it has certainly not been done.
func (c *client) call(ctx context.Context, repeatable bool, do func(ctx context.Context, conn *grpc.ClientConn) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var failures []error
	reached := false
	if len(c.endpoints) == 0 {
		return errors.New("no server to ask is known")
	}
	for _, endpoint := range c.endpoints {
		conn, err := c.dial(ctx, endpoint)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		reached = true
		err = do(ctx, conn)
		conn.Close()
		if err == nil {
			return nil
		}
		if !tryNext(err, repeatable) {
			return callError(err, repeatable)
		}
		failures = append(failures, &connectError{endpoint, callError(err, true)})
	}
	if reached {
		return errors.Join(failures...)
	}
	return &exitCodeError{exitConnect, &unreachableError{failures, cmp.Or(c.hint, "is it running? \"balsa dev\" starts a cluster, --endpoints names another")}}
}

// tryNext reports whether another endpoint may do better.
func tryNext(err error, repeatable bool) bool {
	s := status.Convert(err)
	if is(s.Message(), rpctypes.ErrGRPCNotSupportedForLearner) {
		return true
	}
	if s.Code() != codes.Unavailable {
		return false
	}
	return repeatable || is(s.Message(), rpctypes.ErrGRPCNoLeader)
}

// is reports whether a server's message is that of one of etcd's errors.
func is(message string, errs ...error) bool {
	return slices.ContainsFunc(errs, func(e error) bool { return message == rpctypes.ErrorDesc(e) })
}

// callFailure is an error of a call, without gRPC's words around it.
type callFailure struct {
	message string // the server's
	text    string // for people
	unknown bool   // what was asked for may have been done
}

func (e *callFailure) Error() string { return e.text }

func callError(err error, repeatable bool) error {
	s := status.Convert(err)
	f := &callFailure{message: s.Message(), text: s.Message()}
	f.unknown = !repeatable && (s.Code() == codes.DeadlineExceeded || s.Code() == codes.Unavailable && !refused(s.Message()))
	var change *changeError
	switch {
	case is(s.Message(), rpctypes.ErrGRPCNotSupportedForLearner):
		f.text = "this server is a learner, which answers little: name a voter with --endpoints"
	case is(s.Message(), rpctypes.ErrGRPCStopped):
		f.text = "this server has stopped, which may be because it was removed: its log says why. Name another one with --endpoints"
	case errors.As(err, &change):
		f.text = change.text(s.Message(), f.unknown)
	case s.Code() == codes.DeadlineExceeded && repeatable:
		f.text = "no answer in time: see \"balsa status\", or wait longer with --command-timeout"
	case f.unknown:
		f.text += ": the write may or may not have happened, read before you write again"
	}
	return f
}

// refused reports whether an error of a write that says Unavailable still means that nothing was written.
func refused(message string) bool {
	return is(message, rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCStopped, rpctypes.ErrGRPCLeaderChanged, rpctypes.ErrGRPCUnhealthy)
}

// unreachableError says in one line that no endpoint could be reached, and what to do.
type unreachableError struct {
	failures []error
	hint     string
}

func (e *unreachableError) Unwrap() []error { return e.failures }

func (e *unreachableError) Error() string {
	var all []string
	for _, f := range e.failures {
		all = append(all, f.Error())
	}
	return fmt.Sprintf("cannot reach %s (%s)", strings.Join(all, "; "), e.hint)
}
