package snapshot

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/balsa-raft/balsa/vfs"
)

// inspect makes the entry of a file with a snapshot's name, from its header, trailer and size. What is wrong with these
// is in the entry; the error is for what says nothing of the file, and for a file that is another cluster's.
func (s *Store) inspect(p place) (*entry, error) {
	name := s.path(p.name())
	file, err := s.fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	defer file.Close()
	e := &entry{meta: Meta{Group: p.group, Index: p.index, Term: p.term}}
	if e.size, err = file.Size(); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	m, clusterID, err := readEnds(file, name, e.size)
	var ce *CorruptError
	switch {
	case errors.Is(err, ErrUnsupported) || errors.As(err, &ce):
		e.err = err
	case err != nil:
		return nil, fmt.Errorf("snapshot: read %s: %w", name, err)
	case clusterID != s.clusterID:
		return nil, fmt.Errorf("snapshot: %s is of cluster %x, and this one is %x: the folder is another cluster's",
			name, clusterID, s.clusterID)
	case m.place() != p:
		e.err = &CorruptError{File: name, Reason: fmt.Sprintf("it is that of %v under another name", m)}
	default:
		e.meta = m
	}
	return e, nil
}

// readEnds reads the header and the trailer of a file, and whether it is as long as they say.
func readEnds(file vfs.File, name string, size int64) (m Meta, clusterID uint64, err error) {
	corrupt := func(offset int64, reason string) (Meta, uint64, error) {
		return Meta{}, 0, &CorruptError{File: name, Offset: offset, Reason: reason}
	}
	b := make([]byte, min(size, headerStartBytes))
	if err := readFull(file, b, 0); err != nil {
		return Meta{}, 0, err
	}
	n, err := headerLength(b)
	if err != nil {
		return corrupt(0, err.Error())
	}
	if size < n {
		return corrupt(0, "the file ends in its header")
	}
	b = make([]byte, n)
	if err := readFull(file, b, 0); err != nil {
		return Meta{}, 0, err
	}
	m, clusterID, err = parseHeader(b)
	switch {
	case errors.Is(err, ErrUnsupported):
		return Meta{}, 0, fmt.Errorf("snapshot: %s: %w", name, err)
	case err != nil:
		return corrupt(0, err.Error())
	case size < n+trailerBytes:
		return corrupt(n, "the file ends without a trailer")
	}
	end := make([]byte, trailerBytes)
	if err := readFull(file, end, size-trailerBytes); err != nil {
		return Meta{}, 0, err
	}
	tr, ok := parseTrailer(end, headerCRC(b))
	if !ok {
		return corrupt(size-trailerBytes, "the file does not end with its trailer")
	}
	if fileBytes(n, tr.content) != size {
		return corrupt(size-trailerBytes, fmt.Sprintf("the file has %d bytes, which is not what %d of content take", size, tr.content))
	}
	m.Configuration = bytes.Clone(m.Configuration)
	return m, clusterID, nil
}
