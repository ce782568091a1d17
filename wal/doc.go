// Package wal keeps the logs of many groups in one durable sequence of segment files, so that all groups of a host
// share one sync a batch.
//
// Append makes a batch of Saves durable and returns; Entries reads back; Open recovers what was durable, and refuses a
// log in which something that was durable is damaged. A Save also says where its group's log begins; Prepare gives back
// what is not needed any more. Prepare and Vouch are for a caller's idle moments. The package starts no goroutine, takes
// no lock on its folder, decides on no snapshot (GroupBytes tells when one is worth it), and logs nothing.
//
// # Files
//
// The log is files with names like wal-0000000000000001, the number hexadecimal and without a gap. Such a file is
// written full of zeros or was a segment before, is synced, renamed from wal-*.tmp and its folder synced, in this order,
// and then overwritten in place. So a file that has a segment's name has its full size, and appending to it changes no
// metadata. It is divided into blocks of 4096 bytes:
//
//	block   0         1                 2                 4         5
//	        +---------+-----------------+-----------------+---------+- - - - - - - - - -
//	        | header  | frame 17        | frame 18        | frame 19| zeros, or frames of
//	        |         | restates groups |                 |         | former segments
//	        +---------+-----------------+-----------------+---------+- - - - - - - - - -
//
// Integers are little-endian. A header is synced before the segment's first frame is written:
//
//	 0  magic "balsawal"
//	 8  version u32 = 1
//	12  zero u32
//	16  log id u64: Options.ID, so that no log is taken for another
//	24  segment u64: its number, as in its name
//	32  size u64: of the file
//	40  first LSN u64: of the segment's first frame
//	48  synced LSN u64: frames below were durable when the header was written
//	56  previous crc u32: that of the frame before the first
//	60  crc32c u32: of bytes 0..59
//
// A frame is one batch, one write and one sync, padded with zeros to a whole block. The LSN numbers frames from 1 over
// all segments.
//
//	 0  magic "bFrm"
//	 4  length u32: of the payload
//	 8  records u32: in the payload; 0 for a frame that only vouches
//	12  previous crc u32: the last four bytes of the header of the frame before
//	16  segment u64
//	24  LSN u64
//	32  synced LSN u64: frames below were durable when this one was written
//	40  flags u32 = 0
//	44  crc32c u32: of the log id, bytes 0..43 and the payload
//	48  payload: records as wire.DecodeRecord reads them
//
// A record of entries supersedes what its group has at the first entry's index and after it; nothing is ever truncated
// or rewritten. A frame that does not fit into its segment goes to the next one; a larger one gets a segment of its size.
//
// Unless it begins with frame 1, a segment's first frame restates: it has one record for each group, of all that is to be
// known of the group except its entries, as it was before that frame. It changes nothing, and recovery compares it.
//
// # What a crash may leave
//
// A frame is written when all before it are synced, so a crash can tear the last frame only: any of its sectors, or
// none, may be there. Recovery follows the frames by LSN and previous crc up to the first place that holds no valid
// next frame, which would be frame n, and must tell two cases apart:
//
//   - frame n was never durable: its write was interrupted, or never began, and nobody was told that it succeeded.
//     The log ends before it.
//   - frame n was durable and is damaged, or its write was lost or went astray. To end the log before it would
//     forget what was acknowledged: votes, and entries that may be committed (PAR, FAST '18). Open fails with a
//     *CorruptError, and the member stays down.
//
// Frame n was durable if anything says so that was written later: a valid frame n or higher anywhere behind the place,
// whose synced LSN is above n; a header in the same file whose synced LSN is above n; or a later segment that is in use,
// whose header continues a frame at or above n. Recovery looks for all three, at every block. So rot, a lost write and
// a misdirected one are found when they hit any frame that anything was written after.
//
// A header that is not valid is damaged if there is any valid frame of the segment or any later segment behind it, or if
// it is the oldest segment's; otherwise its write was interrupted, and the segment was never in use.
//
// Recovery may begin with any segment. The first frame of the oldest one, which must be valid, says which entries each
// group has; they count as missing until they are found, there or later, or superseded or forgotten later. If an entry is
// missing in the end, a segment was lost that was needed, and Open fails with a *CorruptError that names the entries. No
// segment needs to say how far the log was given back: what was needed is known by what is not there.
//
// What cannot be told apart is damage to the last frame of all, or to everything from some place to the end of the log,
// from an interrupted write. To make this window small, the next thing written vouches for a frame: the next batch, a
// frame of no records by Vouch when the log is idle or by Close, or the header that Open writes. Nor is it seen that the
// last segment is missing as a whole, unless the one after it was prepared; or that the folder is an old copy.
//
// # After recovery
//
// Open never appends behind the place where the log ended: what is left there of a torn frame could later pass for
// frames again. It starts a new segment, whose header says where the log goes on; frames of that LSN or higher in
// earlier segments are dead from then on.
//
// The last frame may be valid in the page cache and not on the disk: the process was killed before its sync, or the sync
// failed and the kernel dropped the page. Since what Open returns counts as durable, the new segment has a copy of that
// frame behind the one that restates, and the original is dead. The header of a segment without frames is in the same
// doubt, so a segment of which nothing lives but the frame that restates is replaced by the new one. All this happens
// under a temporary name and is synced before the rename, so a crash during Open leaves what it found.
//
// # Giving back
//
// Prepare gives back the oldest segment when the index tells of no record in it: all its entries were superseded, or are
// before their group's beginning, or were voided by a snapshot, or were moved. What made them so was durable before the
// index told of it. The rest of the segment, terms, votes and beginnings, is restated by the next one; and a segment
// becomes part of the log, and its predecessor one that can go, only when its first frame is durable. So no entry and no
// group is lost with it. Segments go one after the other, each durably before the next: a crash leaves no gap. A segment
// in which somebody reads stays until the reader is done.
//
// One that has the full size becomes the next segment, if there are not enough spares: overwriting it costs no zeros and no
// new blocks. It loses its name durably, then its header durably, then gets its new name. Its old frames are still in it,
// whole, and can follow the new ones without a seam. They are never taken for new ones: a frame's checksum covers the
// number of its segment, and a file never gets a number that it had before, because numbers rise. Neither LSN nor
// previous crc would fit either. Nor can they hide damage, because recovery looks for frames of the segment's number only.
//
// Entries of a group that is hardly used keep the oldest segment, and so all of them. Prepare appends them anew, as moved,
// if few of the oldest segments' bytes are alive; move.go has the rule, and what it bounds. A moved record is whatever is
// alive of one record, supersedes nothing, and is written while nobody else appends: whether it is on disk or not, the log
// holds the same. Recovery takes it for the entries that it moved, wherever these were.
//
// # Failures
//
// After a failed write, sync or read of a segment every call fails: the kernel may report success the next time for
// pages that it has dropped. Only Open can tell what is on disk. A segment that could not be prepared, because the disk
// is full, is no such failure. A batch that returned an error may be found by Open or not, but only as a whole.
//
// # Reading back
//
// The index in memory has, for each group, its terms and one span for each record of entries: where the record is, and
// its checksum, so that reading it needs not read its frame. Records hold at most about 64 KiB of data, unless one entry
// is larger.
package wal
