// Package snapshot keeps the snapshots of a host's groups as checksummed files in one folder: it writes them, reads them,
// streams them to other members, receives them in chunks, and removes old ones (thesis ch. 5).
//
//	w, err := store.Create(meta)     // on the member that takes it
//	defer w.Abort()
//	err = machine.WriteTo(w)
//	err = w.Commit()
//
//	st, err := store.Stream(meta)    // on the member that sends it
//	defer st.Close()
//	n, err := st.ReadAt(b, offset)
//
//	r, err := store.Receive(meta, size)      // on the member that receives it, from r.Offset() on
//	err = r.Write(offset, data)
//	err = r.Commit()
//
// What is in a snapshot is the caller's; so is the Configuration, which this package stores and never reads. The
// package decides nothing about logs: which snapshot to take, install or do without is for the caller. It starts no
// goroutine, knows no clock, limits no rate, takes no lock on its folder, and logs nothing. A snapshot of any size
// costs memory for one block.
//
// # Files
//
// A snapshot is one file, snap-GROUP-INDEX-TERM, each as 16 hexadecimal digits. The same with .tmp behind it is a file
// that a Writer has not finished, with .part one that a Receiver has not. All files of other names are left alone.
//
//	+--------+---------+---------+-----+----------------+---------+
//	| header | block 1 | block 2 | ... | block n, short | trailer |
//	+--------+---------+---------+-----+----------------+---------+
//
// Integers are little-endian. The header:
//
//	 0  magic "balsasnp"
//	 8  version u32 = 1
//	12  length u32: of the header, 52 + that of the configuration; at most 32820. Up to here the same in every version
//	16  cluster id u64: Options.ClusterID
//	24  group u64
//	32  index u64: of the last entry that the snapshot stands in for
//	40  term u64: that entry's
//	48  configuration: at most 32 KiB
//	    crc32c u32: of all before; the header's last bytes in every version
//
// A block has 65536 bytes of content; the last one may have fewer, but not none. A snapshot of no content has no block:
//
//	0  length u32: of the content
//	4  crc32c u32: of the length and the content, continuing the crc32c of the block before, or the header's
//	8  content
//
// The trailer:
//
//	 0  zero u32: where a block has its length
//	 4  magic "bEnd"
//	 8  content u64: bytes of content in all blocks
//	16  crc32 u32: of all bytes of the file before this field. It has another polynomial (IEEE) than the others, so that
//	    what one of them cannot see is seen by the other
//	20  crc32c u32: of bytes 0..19, continuing the header's crc32c
//
// Every byte is under a checksum, and each block's continues the one before, back to the header with its group and
// index: a block that is missing, swapped, repeated, or from another snapshot is found as one with a flipped bit is. A
// file that is cut has no trailer, and the trailer says how long the file must be, so that cut and complete are never
// confused, not even before the blocks are read. The file has nothing of the member that wrote it: where the content is
// the same, so are the bytes, and a transfer that one member began can be continued by another.
//
// # What a crash may leave
//
// A file gets a snapshot's name when it is written, synced and closed, and Commit returns when the folder is synced too.
// So a crash leaves the name with the whole file behind it, or leaves no such name; the snapshots before it are never
// touched. What a process has seen renamed may not be durable if it died before it synced the folder: so Open syncs the
// folder before it says what is there. A replaced snapshot (a damaged one may be) changes hands by the same rename.
//
// Open removes the .tmp files that it finds; to write them again costs less than to know how far they are. A .part file
// stays, for its bytes came over the network. How far it is good is nowhere written; its checksums tell. But they tell
// it of the page cache, which shows also what a failed sync has dropped and no later sync will write. So a Receiver syncs
// at each multiple of 8 MiB before it writes anything beyond, and a process that finds a .part file believes it up to
// the last such place below its size and drops the rest. After a failed write or sync the file is removed and nothing of
// it is used again.
//
// # Damage
//
// Open checks each snapshot's header, trailer and size, but not its blocks: that would read all there is. Read and
// Verify check all. A snapshot that is found damaged stays where it is and is remembered: Latest reports it together
// with the newest one that is not, and it is the caller who decides between them. The log may begin behind the damaged
// snapshot, and then an older one and the log do not make a state. Usually the way out is to receive one from another
// member; it may be the very same, which then takes the damaged one's place.
//
// The newest sound snapshot of a group is never removed, nor any that is newer, damaged or not.
package snapshot
