// Package memfs is a disk in memory that can crash, tear, rot, fill up, stall and lie: a vfs.FS for tests and for the
// simulator.
//
// A disk has two states. What the running programs see is one, what a crash of the machine would leave is the other:
//
//	names      Create, Rename and Remove are seen at once and become durable with SyncDir of their folder
//	contents   WriteAt and Truncate are seen at once and become durable with Sync of their file, by sectors of 512 bytes
//	folders    are durable at once
//
// CrashClone is a disk as the machine might find it after losing power now: of what is not durable, each sector, size
// and name survives or is lost on its own, the later ones perhaps without the earlier ones. KillClone is the disk as
// the next process finds it when only the process died.
//
// A hook sees every operation before it happens, and may fail it, pretend it (ErrPretend), hold it up or take a clone.
// After a Sync that failed the disk behaves as Linux does: what was to be synced is still read back, may or may not
// survive a crash, and the next Sync succeeds without it.
//
// Nothing depends on time, on a global source of randomness or on the order of a map: the same calls give the same disk.
package memfs
