package host

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// TestOpenSaysWhatIsWrong: each error says what, to which folder, and nothing is left open.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		want   string
		change func(fs *memfs.FS, c *Config)
	}{
		{"balsa: the data folder data is in use: locked by another process", func(fs *memfs.FS, _ *Config) { fs.Lock("data/lock") }},
		{"balsa: data belongs to cluster 7, not to 8: ", func(_ *memfs.FS, c *Config) { c.ClusterID = 8 }},
		{"balsa: data belongs to member 1, not to 2: ", func(_ *memfs.FS, c *Config) { c.ID = 2 }},
		{"balsa: data/identity: its checksum is wrong", func(fs *memfs.FS, _ *Config) { fs.Flip("data/identity", 20, 1) }},
		{"balsa: data/identity: it is not an identity file", func(fs *memfs.FS, _ *Config) { fs.Flip("data/identity", 0, 1) }},
		{"balsa: data/identity: it is not an identity file", func(fs *memfs.FS, _ *Config) {
			f, _ := fs.Open("data/identity")
			f.Truncate(0)
		}},
		{"the folder is another member's", func(fs *memfs.FS, _ *Config) { // a log without its identity is not taken for an empty one
			fs.Remove("data/identity")
		}},
		{"balsa: data/epoch: its checksum is wrong", func(fs *memfs.FS, _ *Config) { fs.Flip("data/epoch", 10, 1) }},
		{"balsa: data/epoch: it is not an epoch file", func(fs *memfs.FS, _ *Config) { fs.Flip("data/epoch", 0, 1) }},
		{"balsa: lock the data folder data: ", func(fs *memfs.FS, _ *Config) { fs.SetHook(failing(memfs.OpLock)) }},
		{"balsa: make the data folder: ", func(fs *memfs.FS, _ *Config) { fs.SetHook(failing(memfs.OpMkdirAll)) }},
	} {
		c := newCluster(t, 1).startAll()
		m := c.elect(1)
		m.propose("a")
		c.settle()
		m.close()
		m.starts++ // other randomness
		config := m.config()
		test.change(m.fs, &config)
		h, err := Open(config)
		if err == nil {
			h.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Open says %v, want %q", err, test.want)
		}
		if err != nil && strings.Count(err.Error(), "data/lock")+strings.Count(err.Error(), "data/identity") > 1 {
			t.Errorf("Open repeats itself: %v", err)
		}
	}
}

// TestOpenWithEveryOperationFailing: whatever fails while a folder is opened, it is not left locked, and opens when the disk is sound.
func TestOpenWithEveryOperationFailing(t *testing.T) {
	for _, made := range []bool{false, true} { // the folder is new, or has a log
		for n, fired := 1, true; fired; n++ {
			c := newCluster(t, 1)
			c.raft.Configuration = raft.NewConfiguration(1) // its folder may be made by a later start
			m := c.member(1)
			if made {
				m.start()
				c.elect(1).propose("a")
				c.settle()
				m.close()
			}
			fault := &memfs.Fault{N: n, Err: syscall.EIO}
			m.fs.SetHook(fault.Hook)
			h, err := Open(m.config())
			if fired = fault.Fired(); fired == (err == nil) {
				t.Fatalf("operation %d of the start fails, and Open says %v", n, err)
			}
			m.fs.SetHook(nil)
			if h != nil {
				h.Close()
			}
			m.start()
			c.elect(1)
			p := m.propose("b")
			c.settle()
			if got := m.outcome(p); !strings.HasPrefix(got, "applied") {
				t.Fatalf("after operation %d of a start has failed, a proposal is %s", n, got)
			}
			m.close()
			if made {
				expect(t, "executed", fmt.Sprint(m.machine.commands), "[a b]")
			}
		}
	}
}

// TestOpenAfterEveryCrash: whenever the process ends while it makes its folder, and whatever a later power failure leaves, the
// folder is the same member's with what was durable.
func TestOpenAfterEveryCrash(t *testing.T) {
	for seed := range uint64(3) {
		for n := 1; ; n++ {
			c := newCluster(t, 1)
			c.raft.Configuration = raft.NewConfiguration(1) // its folder may be made by a later start
			m := c.member(1)
			fault := &memfs.Fault{N: n, Err: memfs.ErrCrashed, Final: true}
			m.fs.SetHook(fault.Hook)
			h, _ := Open(m.config())
			if h != nil {
				h.Close()
			}
			if !fault.Fired() {
				break
			}
			m.kill() // the process alone: nothing has become durable
			m.start()
			c.elect(1).propose("a")
			c.settle()
			m.fs = m.fs.CrashClone(memfs.CrashConfig{Probability: float64(seed) / 2, Rand: rand.New(rand.NewPCG(seed, 0))})
			m.host, m.group = nil, nil
			m.start() // fails the test if the folder cannot be opened
			c.elect(1)
			expect(t, fmt.Sprintf("executed after a crash at operation %d", n), fmt.Sprint(m.machine.commands), "[a]")
		}
	}
}

// TestEpochs: whatever the clock says, and whenever a start ends, no start has the epoch of an earlier one, nor of its requests.
func TestEpochs(t *testing.T) {
	fs := memfs.New()
	if err := fs.MkdirAll("data"); err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	for _, clock := range []uint64{5, 1 << 60, 1 << 60, 0, 1, 1<<60 + 10*epochStep, 7} {
		for n := 1; ; n++ {
			fault := &memfs.Fault{N: n, Err: memfs.ErrCrashed, Final: true}
			crashed := fs.KillClone()
			crashed.SetHook(fault.Hook)
			epoch, err := nextEpoch(crashed, "data", clock)
			if err == nil && epoch < last+epochStep && last > 0 {
				t.Fatalf("epoch %d follows %d", epoch, last)
			}
			fs = crashed.CrashClone(memfs.CrashConfig{Probability: float64(n % 2)})
			if err == nil {
				last = epoch
			}
			if !fault.Fired() {
				break
			}
		}
	}
}

func TestJoinRefuses(t *testing.T) {
	c := newCluster(t, 1)
	h, err := Open(c.member(1).config())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Join(testGroup, raft.Config{Configuration: raft.NewConfiguration(1, 1)}, &recorder{}); err == nil {
		t.Error("a group with a member that is named twice was joined")
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseTwice: the second time does nothing and says the same.
func TestCloseTwice(t *testing.T) {
	for _, started := range []bool{false, true} {
		c := newCluster(t, 1)
		m := c.member(1)
		m.start()
		if started {
			m.host.Start()
		}
		for range 2 {
			if err := m.host.Close(); err != nil {
				t.Error(err)
			}
		}
		if lock, err := m.fs.Lock("data/lock"); err != nil {
			t.Errorf("the folder is still locked: %v", err)
		} else {
			lock.Close()
		}
	}
}

func FuzzSmallFiles(f *testing.F) {
	f.Add(Identity{ClusterID: 1, Member: 2, Incarnation: 3}.encode())
	f.Add([]byte(identityMagic))
	f.Add(encodeEpoch(4))
	f.Fuzz(func(t *testing.T, b []byte) {
		if epoch, err := decodeEpoch(b); err == nil && string(encodeEpoch(epoch)) != string(b) {
			t.Errorf("%x is read as epoch %d", b, epoch)
		}
		if id, err := decodeIdentity(b); err == nil && string(id.encode()) != string(b) {
			t.Errorf("%x is read as %v", b, id)
		}
	})
}
