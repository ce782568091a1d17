package transport

import (
	"context"
	"errors"
	"net"
)

// network is how the transport reaches the outside. Encryption belongs here: a dial and a listen that return
// connections of crypto/tls need no other change.
type network struct {
	listen func(address string) (net.Listener, error)
	dial   func(ctx context.Context, address string) (net.Conn, error)
}

// tcp relies on the net package's defaults: no delay of small writes, and keep-alive probes.
func tcp() network {
	var d net.Dialer
	return network{
		listen: func(address string) (net.Listener, error) { return net.Listen("tcp", address) },
		dial:   func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) },
	}
}

// halfClose ends what is written to conn and leaves what is read. Closing both at once, with a sign of life not yet read,
// would make TCP throw away what the peer has not read. It reports false if conn cannot.
func halfClose(conn net.Conn) bool {
	c, ok := conn.(interface{ CloseWrite() error })
	return ok && c.CloseWrite() == nil
}

func isTimeout(err error) bool {
	ne := net.Error(nil)
	return errors.As(err, &ne) && ne.Timeout()
}

// plain strips err of what net puts around it: addresses that the caller names anyway, and ports that differ from one
// attempt to the next, so that the same cause has the same text.
func plain(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}
