package filestore

// A file is a sequence of sectors of 512 bytes, the unit that a disk writes as a
// whole. The first byte of each is a mark; the others hold, one after another, the
// stream that the rest of the package reads and writes. A sector that was never
// written is zero and so has no mark, however long the runs of zeros are that the
// stream itself holds.
const (
	sectorSize = 512
	room       = sectorSize - 1 // of the stream in one sector
	mark       = 0xA5           // no single bit makes it zero
)

// place is where byte off of the stream is in the file.
func place(off int64) int64 { return off/room*sectorSize + 1 + off%room }

// begin is where a write has to begin that continues the stream at off: with the
// mark, if it is the first one of its sector.
func begin(off int64) int64 {
	if off%room == 0 {
		return off / room * sectorSize
	}
	return place(off)
}

// extent is how many bytes of the file the first n of the stream take.
func extent(n int64) int64 {
	if n == 0 {
		return 0
	}
	return place(n-1) + 1
}

// streamLen is how many bytes of the stream a file of that size holds.
func streamLen(size int64) int64 { return size/sectorSize*room + max(size%sectorSize-1, 0) }

// interleave appends src, the part of the stream from off on, to what is to be
// written at begin(off).
func interleave(dst []byte, off int64, src []byte) []byte {
	for len(src) > 0 {
		in := int(off % room)
		if in == 0 {
			dst = append(dst, mark)
		}
		n := min(room-in, len(src))
		dst = append(dst, src[:n]...)
		src = src[n:]
		off += int64(n)
	}
	return dst
}

// strip appends the stream of whole sectors, the last of which may be cut short,
// and their marks.
func strip(stream, marks, sectors []byte) (s, m []byte) {
	for len(sectors) > 0 {
		n := min(sectorSize, len(sectors))
		marks = append(marks, sectors[0])
		stream = append(stream, sectors[1:n]...)
		sectors = sectors[n:]
	}
	return stream, marks
}
