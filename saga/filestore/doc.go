// Package filestore keeps the runs of sagas in the files of one directory, so that
// they survive the process and the machine, on the standard library alone.
//
// # Quick start
//
//	store, err := filestore.Open("/var/lib/orders/sagas", filestore.Config{})
//	if err != nil {
//		return err
//	}
//	engine, err := durable.Open(store, durable.Config{})
//	if err != nil {
//		return err
//	}
//	// ... durable.Register and durable.Start, until the service ends:
//	return errors.Join(engine.Close(ctx), store.Close(ctx)) // in this order
//
// # Model
//
// A directory belongs to one process at a time. In it are segments, files named by
// number, of which the last is written to, and a file LOCK. A segment holds frames:
// what one call has written, with checksums and the place of the frame before of
// the same run. In memory there are, for each run, its head and the place of its
// last frame; Load reads the journal from the files.
//
// Calls that come while another is being written wait, and are then written
// together, with one write and one sync: a batch. When a run is deleted its frames
// are dead. A segment of which too much is dead is rewritten: what is needed of it
// is appended at the end, then the file is removed.
//
// [Verify] reads a directory, also one in use, and tells what Open would say.
//
// # Guarantees
//
// The store gives what [durable.Store] and [durable.Watcher] ask for, G46 to G49 of
// package durable, and:
//
//   - G50: What is acknowledged is synced: the file, and its directory after a file
//     was made or renamed (but on Windows, which cannot). Calls that wait share a
//     sync; none is delayed to make others wait with it. What Open finds it syncs
//     before it is used. A second Open, also by another process, is ErrLocked; the
//     system frees the lock when a process dies, and where there is no such lock
//     (js, plan9, solaris, aix) Open fails with errors.ErrUnsupported. Leases,
//     and what claims add to Rev and Epoch, are kept in memory alone, so that all
//     runs can be claimed as soon as a directory is opened again. Every format that
//     was ever released is read for ever.
//   - G51: An end that was never acknowledged is cut off when a directory is opened
//     ([Stats].CutOff): the last batch, if some of it was not written, also with
//     whole sectors missing before others. What else is not as it was written, a
//     bit of the last complete frame too, is ErrCorrupt with file and place, and no
//     file is changed. When a write or a sync has failed nothing is written any more
//     and no sync repeated: calls return ErrFailed, reads go on.
//
// What no file system can be asked for is not told: the last segment removed as a
// whole, or replaced by an older copy of itself.
//
// Windows builds and is vetted, but has not been tested. Network file systems often
// lack the locks and syncs that G50 rests on.
//
// # Time
//
// [Config].Clock replaces system time for tests: a *clock.Mock fits. Leases go by
// the time that passes, wake-ups by the date, so that a clock that is set back may
// delay a run and ends no lease. There is no timer; an engine asks again when Claim
// has told it to, or Watch does.
//
// # Errors
//
// [ErrLocked], [ErrCorrupt] with a [*CorruptError], and [ErrFailed] are the decisions
// a caller makes, besides [durable.ErrConflict], [durable.ErrNotFound] and, after
// Close, [durable.ErrClosed]. A call whose context ends while it waits for its turn
// returns the cause and has written nothing. Calls of a Store that Open has not made are
// errors too (G52 of package saga).
//
// After ErrFailed close the store and open it again: what was acknowledged is there,
// and of the calls that got the error each may be or not. After ErrCorrupt the files
// are as they were; restore them from a copy.
//
// # Testing
//
// [Config].NoSync makes tests fast; most do with a [durable.MemoryStore]. The store
// passes TestStore of package sagatest, whose FaultStore can stand before it.
//
// To copy a directory for a backup, close the store first.
//
// # Cost
//
// A call alone costs a sync, and many at a time share one: on a disk that syncs in
// 0.1 ms, 64 callers write more than 100,000 records per second
// (BenchmarkAppend). A run takes its head and about 300 bytes of memory; a million
// that wait stay below 1 KiB each. Opening reads all files, a million records in
// less than a second (BenchmarkReopen), and Load the frames of one run
// (BenchmarkLoad). To claim a run takes O(log n) (BenchmarkClaim). A store has no
// goroutine but while it rewrites segments by itself. How that compares is in
// examples/benchmarks/RESULTS.md.
package filestore
