package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
)

// The pause before publishing again; it doubles up to the maximum.
const (
	publishPauseMin = 50 * time.Millisecond
	publishPauseMax = 2 * time.Second
)

// publish tells the cluster this member's name and client URLs, again and again until it is told. That it has
// succeeded shows that the cluster takes writes. It reports false if ctx ended first.
func (s *member) publish(ctx context.Context) bool {
	self := &kv.MemberAttributes{ID: s.config.ID, Name: s.config.Name, ClientURLs: s.config.AdvertiseClientURLs}
	for pause := publishPauseMin; ; pause = min(2*pause, publishPauseMax) {
		err := s.publishOnce(ctx, self)
		if err == nil {
			s.config.Logger.Info("published local member to cluster through raft",
				"local-member-id", hexID(self.ID), "name", self.Name, "client-urls", self.ClientURLs, "cluster-id", hexID(s.node.Status().Cluster))
			return true
		}
		s.config.Logger.Log(ctx, slog.LevelDebug, "could not publish local member yet", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		case <-s.node.Done():
			return false
		}
	}
}

func (s *member) publishOnce(ctx context.Context, self *kv.MemberAttributes) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	// What the store holds before it has caught up may have been replaced since.
	if _, err := s.node.Read(ctx, balsa.Linearizable); err != nil {
		return err
	}
	if !published(s.store.Members(), self) { // told in an earlier life
		result, err := s.node.Propose(ctx, kv.Command{Publish: self})
		if err := errors.Join(err, result.Value.Err); err != nil {
			return err
		}
	}
	if err := s.publishPeerURLs(ctx); err != nil {
		return err
	}
	return s.forgetStrangers(ctx)
}

// publishPeerURLs records this member's peer URLs as they were given when the cluster first started, if there are several. What was recorded since
// is newer.
func (s *member) publishPeerURLs(ctx context.Context) error {
	self, _ := s.config.member(s.config.ID)
	recorded := slices.ContainsFunc(s.store.Members(), func(m kv.MemberAttributes) bool { return m.ID == self.ID && len(m.PeerURLs) > 0 })
	if len(self.PeerURLs) < 2 || recorded {
		return nil
	}
	result, err := s.node.Propose(ctx, kv.Command{PeerURLs: &kv.MemberPeerURLs{ID: self.ID, URLs: self.PeerURLs}})
	return errors.Join(err, result.Value.Err)
}

func published(all []kv.MemberAttributes, self *kv.MemberAttributes) bool {
	return slices.ContainsFunc(all, func(m kv.MemberAttributes) bool {
		return m.ID == self.ID && m.Name == self.Name && slices.Equal(m.ClientURLs, self.ClientURLs)
	})
}
