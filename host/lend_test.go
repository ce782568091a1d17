package host

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestLend: who brings the only thing that there is to do does it, and otherwise the shard's goroutine is woken.
func TestLend(t *testing.T) {
	m := newCluster(t, 1).startAll().elect(1)
	s := m.host.shard
	stepped := func() bool { return !m.host.writer.inbox.empty() }
	woken := func() bool {
		defer m.work()
		return len(s.inbox.wake) > 0
	}
	propose := func(what string, stepsAtOnce bool) {
		t.Helper()
		for len(s.inbox.wake) > 0 {
			<-s.inbox.wake
		}
		m.propose(what)
		expect(t, what+": stepped", stepped(), stepsAtOnce)
		expect(t, what+": the goroutine is woken", woken(), !stepsAtOnce)
		m.work()
	}

	propose("before the goroutines run", false)
	s.lendTo(func() time.Duration { return m.now })
	propose("alone", true)
	s.stepping.Lock()
	propose("while another steps", false)
	s.stepping.Unlock()
	propose("alone again", true)

	m.stalled[PartApplier] = true
	m.propose("first")
	m.work()
	m.stalled[PartApplier] = false
	propose("not alone", false)
	s.lendTo(nil)
	propose("when the goroutines have ended", false)
}

// TestYield: commands that come while callers are told their outcomes wake nobody, and wait for no other than those callers.
func TestYield(t *testing.T) {
	m := newCluster(t, 1).startAll().elect(1)
	inbox := m.host.shard.inbox
	var late *Proposal
	yields := 0
	m.host.applier.yield = func() {
		yields++
		late = m.propose("late")
		expect(t, "the shard is woken by what comes meanwhile", inbox.poked, false)
	}
	for i := range 2 * yieldEvery {
		m.propose(fmt.Sprint(i))
	}
	m.step(PartShard)
	m.step(PartWriter)
	m.step(PartWriter)
	m.step(PartShard)
	m.step(PartApplier)
	expect(t, "yields", yields, 2)
	expect(t, "the shard is woken in the end", inbox.poked, true)
	m.host.applier.yield = nil
	m.work()
	expect(t, "what came meanwhile", m.outcome(late), fmt.Sprintf("applied at %d", m.group.Status().LastIndex))
}

// TestCrash: a step that panics ends the program, also in the goroutine of somebody who recovers.
func TestCrash(t *testing.T) {
	const mark = "BALSA_TEST_CRASH"
	if os.Getenv(mark) != "" {
		s := &Shard{host: &Host{}, inbox: newInbox[input]()}
		s.lendTo(func() time.Duration { panic("the step is broken") })
		func() {
			defer func() { recover() }()
			s.lend()
		}()
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^TestCrash$")
	c.Env = append(os.Environ(), mark+"=1")
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic: the step is broken") || !strings.Contains(string(out), "TestCrash") {
		t.Errorf("the program ends with %v, and says: %s", err, out)
	}
}
