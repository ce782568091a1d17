package sim

import "fmt"

// snapshotsMax is how many snapshots a member has at most where nothing is wrong: the newest, and one whose removal an error of the disk has prevented; more only if there
// were more such errors in its incarnation.
const snapshotsMax = 2

// hoards says whether a member keeps snapshots that nobody needs: each is as large as the state, and disks fill up with them.
func (m *member) hoards() string {
	names, err := m.disk.fs.List(snapshotsDir)
	if err != nil {
		return ""
	}
	n := 0
	for _, name := range names {
		if _, suffix, ok := parseSnapshot(name); ok && suffix == "" {
			n++
		}
	}
	if n <= max(snapshotsMax, 1+m.tidy.unremoved) {
		return ""
	}
	return fmt.Sprintf("n%d has %d snapshots: %v", m.id, n, names)
}
