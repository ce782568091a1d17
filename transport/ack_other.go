//go:build !linux

package transport

import "net"

// delayAcks does nothing: only Linux has a way to ask.
func delayAcks(net.Conn) {}
