package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/balsa-raft/balsa/wire"
)

// Ask asks the member that answers peers at peer, host:port, which cluster it is of, and which member of it others reach at the address about.
// The answer's Verdict is Told. Like every answer it is what that member knows: it may be behind.
func Ask(ctx context.Context, peer, about string) (wire.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeoutDefault)
	defer cancel()
	a, err := ask(ctx, peer, about)
	if err == nil && a.Verdict != wire.Told {
		err = fmt.Errorf("it does not answer questions: %v: %s", a.Verdict, a.Reason)
	}
	if err != nil {
		return wire.Answer{}, fmt.Errorf("transport: ask %s: %w", peer, plain(err))
	}
	return a, nil
}

func ask(ctx context.Context, peer, about string) (wire.Answer, error) {
	if err := wire.CheckAddress(about); err != nil {
		return wire.Answer{}, err
	}
	conn, err := tcp().dial(ctx, peer)
	if err != nil {
		return wire.Answer{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(wire.AppendHello(nil, wire.Hello{Address: about})); err != nil {
		return wire.Answer{}, err
	}
	a, err := wire.ReadAnswer(conn)
	if isTimeout(err) {
		err = errors.New("no answer in time")
	}
	return a, err
}

// errAnswered is the end of a connection on which a question was answered.
var errAnswered = errors.New("a question was answered")

// answer answers a question.
func (t *Transport) answer(conn net.Conn, h wire.Hello) error {
	a := wire.Answer{Verdict: wire.Told, ClusterID: t.config.ClusterID}
	if t.config.Find != nil {
		a.Member, a.Incarnation, a.At = t.config.Find(h.Address)
	}
	conn.Write(wire.AppendAnswer(nil, a)) // if that fails there is nobody to tell
	return errAnswered
}
