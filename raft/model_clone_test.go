package raft

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"unsafe"
)

// clone is a copy of a core that shares nothing with it that either of them changes. Entries' bytes, configurations and what Config holds are
// never changed by anybody, and are shared.
func (r *Raft) clone() *Raft {
	c := *r
	c.log.runs = slices.Clone(r.log.runs)
	c.log.cache.blocks = slices.Clone(r.log.cache.blocks)
	for i, b := range c.log.cache.blocks {
		c.log.cache.blocks[i] = slices.Clone(b)
	}
	c.votesGranted, c.votesRefused = maps.Clone(r.votesGranted), maps.Clone(r.votesRefused)
	c.peers = slices.Clone(r.peers)
	for i, p := range c.peers {
		q := *p
		q.inflight = slices.Clone(p.inflight)
		c.peers[i] = &q
	}
	c.disk.saves, c.disk.withheld = slices.Clone(r.disk.saves), slices.Clone(r.disk.withheld)
	s := &c.reads
	s.early, s.next, s.current = slices.Clone(s.early), slices.Clone(s.next), slices.Clone(s.current)
	s.waiting, s.asked = slices.Clone(s.waiting), slices.Clone(s.asked)
	c.lease.rounds = slices.Clone(r.lease.rounds)
	c.forwards.kept = slices.Clone(r.forwards.kept)
	c.inflow.streams = slices.Clone(r.inflow.streams)
	c.refusals = slices.Clone(r.refusals)
	c.members.history = slices.Clone(r.members.history)
	c.members.quorum.voters, c.members.quorum.old = slices.Clone(r.members.quorum.voters), slices.Clone(r.members.quorum.old)
	c.members.known = maps.Clone(r.members.known)
	c.effects = Effects{} // they are drained after every input
	c.scratch = nil
	return &c
}

// neverChanged is what a core and its clone may share, by where it is.
var neverChanged = map[string]bool{
	".config.Configuration.Members":              true, // "It is never changed in place"
	".members.history[].Configuration.Members":   true,
	".refusals[].Unreachable":                    true,
	".config.Rand":                               true, // always the same number
	".log.cache.blocks[][].Data":                 true, // immutable once appended
	".disk.withheld[].Envelope.Message":          true,
	".forwards.kept[].ForwardProposals.Commands": true,
	".forwards.kept[].ids":                       true,
}

// TestCloneSharesNothing fails when a core has got a new field that its clone would share.
func TestCloneSharesNothing(t *testing.T) {
	r := filledRaft()
	c := r.clone()
	for _, path := range shared("", reflect.ValueOf(r).Elem(), reflect.ValueOf(c).Elem()) {
		t.Errorf("a core and its clone share %s: copy it in clone, or say in neverChanged why nobody changes it", path)
	}
	c.effects, c.scratch = r.effects, r.scratch
	if !reflect.DeepEqual(r, c) {
		t.Error("a clone is not equal to its core")
	}
}

// TestSharedIsSeen: the test above sees what a plain copy shares.
func TestSharedIsSeen(t *testing.T) {
	r := filledRaft()
	c := *r
	found := shared("", reflect.ValueOf(r).Elem(), reflect.ValueOf(&c).Elem())
	for _, want := range []string{".log.runs", ".votesGranted", ".peers", ".disk.saves", ".reads.asked", ".members.known"} {
		if !slices.Contains(found, want) {
			t.Errorf("a plain copy shares %s, which is not seen", want)
		}
	}
}

// filledRaft is a core in which every field, however deep, has a value that is not zero, without a meaning.
func filledRaft() *Raft {
	r := &Raft{}
	fill(reflect.ValueOf(r).Elem())
	return r
}

func fill(v reflect.Value) {
	v = writable(v)
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.Interface:
		for _, x := range []any{TimeoutNow{Term: 1}, &fixedRand{}, error(&TransferError{})} {
			if reflect.TypeOf(x).Implements(v.Type()) {
				v.Set(reflect.ValueOf(x))
				return
			}
		}
		panic(fmt.Sprintf("nothing is known that is a %v", v.Type()))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Int:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(1)
	default:
		panic(fmt.Sprintf("a field is of kind %v", v.Kind()))
	}
}

// writable is v, though its field is not exported.
func writable(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

// shared names what two values of one shape refer to both.
func shared(path string, a, b reflect.Value) (found []string) {
	if neverChanged[path] || path == ".effects" || path == ".scratch" {
		return nil
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			found = append(found, shared(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))...)
		}
	case reflect.Slice:
		if a.UnsafePointer() == b.UnsafePointer() {
			return []string{path}
		}
		found = shared(path+"[]", a.Index(0), b.Index(0))
	case reflect.Pointer:
		if a.UnsafePointer() == b.UnsafePointer() {
			return []string{path}
		}
		found = shared(path, a.Elem(), b.Elem())
	case reflect.Map:
		if a.UnsafePointer() == b.UnsafePointer() {
			return []string{path}
		}
	case reflect.Interface:
		return []string{path}
	}
	return found
}
