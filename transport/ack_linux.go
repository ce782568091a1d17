package transport

import (
	"net"
	"syscall"
)

// delayAcks asks the kernel to acknowledge what arrives on conn some packets at a time. It acknowledges every packet
// at once where a program does not answer on the same connection, as here; a small packet there and another back then
// cost four packets, a fifth more time and as much more CPU. The kernel returns to its habit now and then, so this is
// repeated. It is a hint: errors do not matter.
func delayAcks(conn net.Conn) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 0) })
}
