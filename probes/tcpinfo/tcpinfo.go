// Package tcpinfo reads the kernel's struct tcp_info (include/uapi/linux/tcp.h), from getsockopt(TCP_INFO) or from the
// attribute INET_DIAG_INFO of a socket dump.
//
// Kernels have appended fields for twenty years, so that the length that the kernel returned decides which fields are
// there. A field that is not there is nil, never zero.
package tcpinfo

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// maximumBytes is larger than any known struct tcp_info; Linux 6.18 returns 280 bytes.
const maximumBytes = 1024

// Info is what the kernel said about one connection. Times are in the unit that the name tells; the comment of a group
// names the first kernel that returns it.
type Info struct {
	// Of all kernels that Go runs on.
	State, CongestionState, Retransmits, Probes, Backoff, Options *uint8
	// SendWindowScale and ReceiveWindowScale are the low and the high half of one byte.
	SendWindowScale, ReceiveWindowScale *uint8

	RTOMicroseconds, ATOMicroseconds *uint32
	SendMSS, ReceiveMSS              *uint32
	Unacked, Sacked, Lost, Retrans   *uint32

	LastDataSentMilliseconds, LastDataReceivedMilliseconds, LastAckReceivedMilliseconds *uint32

	PathMTU, ReceiveSlowStartThreshold   *uint32
	RTTMicroseconds, RTTVarMicroseconds  *uint32
	SendSlowStartThreshold               *uint32
	CongestionWindow                     *uint32
	AdvertisedMSS, Reordering            *uint32
	ReceiveRTTMicroseconds, ReceiveSpace *uint32
	TotalRetrans                         *uint32
	PacingRateBytes, MaxPacingRateBytes  *uint64 // 3.15, bytes per second
	BytesAcked, BytesReceived            *uint64 // 4.1
	SegmentsOut, SegmentsIn              *uint32 // 4.2
	NotSentBytes, MinRTTMicroseconds     *uint32 // 4.6
	DataSegmentsIn, DataSegmentsOut      *uint32 // 4.6
	DeliveryRateBytes                    *uint64 // 4.9, bytes per second
	BusyMicroseconds                     *uint64 // 4.10
	ReceiveWindowLimitedMicroseconds     *uint64 // 4.10
	SendBufferLimitedMicroseconds        *uint64 // 4.10
	Delivered, DeliveredCE               *uint32 // 4.18
	BytesSent, BytesRetransmitted        *uint64 // 4.19
	DuplicateSacks, ReorderingSeen       *uint32 // 4.19
	OutOfOrderPackets, SendWindow        *uint32 // 5.4
	ReceiveWindow, Rehash                *uint32 // 6.2
	TotalRTO, TotalRTORecoveries         *uint16 // 6.7
	TotalRTOMilliseconds                 *uint32 // 6.7
}

// Parse reads as many fields as data holds. The order of its lines is the order of the kernel's struct.
func Parse(data []byte) Info {
	s := newStructure(data)
	return Info{
		State:              s.u8(0),
		CongestionState:    s.u8(1),
		Retransmits:        s.u8(2),
		Probes:             s.u8(3),
		Backoff:            s.u8(4),
		Options:            s.u8(5),
		SendWindowScale:    s.bits(6, 0),
		ReceiveWindowScale: s.bits(6, 4),

		RTOMicroseconds: s.u32(8),
		ATOMicroseconds: s.u32(12),
		SendMSS:         s.u32(16),
		ReceiveMSS:      s.u32(20),
		Unacked:         s.u32(24),
		Sacked:          s.u32(28),
		Lost:            s.u32(32),
		Retrans:         s.u32(36),

		LastDataSentMilliseconds:     s.u32(44),
		LastDataReceivedMilliseconds: s.u32(52),
		LastAckReceivedMilliseconds:  s.u32(56),

		PathMTU:                   s.u32(60),
		ReceiveSlowStartThreshold: s.u32(64),
		RTTMicroseconds:           s.u32(68),
		RTTVarMicroseconds:        s.u32(72),
		SendSlowStartThreshold:    s.u32(76),
		CongestionWindow:          s.u32(80),
		AdvertisedMSS:             s.u32(84),
		Reordering:                s.u32(88),
		ReceiveRTTMicroseconds:    s.u32(92),
		ReceiveSpace:              s.u32(96),
		TotalRetrans:              s.u32(100),

		PacingRateBytes:                  s.u64(104),
		MaxPacingRateBytes:               s.u64(112),
		BytesAcked:                       s.u64(120),
		BytesReceived:                    s.u64(128),
		SegmentsOut:                      s.u32(136),
		SegmentsIn:                       s.u32(140),
		NotSentBytes:                     s.u32(144),
		MinRTTMicroseconds:               s.u32(148),
		DataSegmentsIn:                   s.u32(152),
		DataSegmentsOut:                  s.u32(156),
		DeliveryRateBytes:                s.u64(160),
		BusyMicroseconds:                 s.u64(168),
		ReceiveWindowLimitedMicroseconds: s.u64(176),
		SendBufferLimitedMicroseconds:    s.u64(184),
		Delivered:                        s.u32(192),
		DeliveredCE:                      s.u32(196),
		BytesSent:                        s.u64(200),
		BytesRetransmitted:               s.u64(208),
		DuplicateSacks:                   s.u32(216),
		ReorderingSeen:                   s.u32(220),
		OutOfOrderPackets:                s.u32(224),
		SendWindow:                       s.u32(228),
		ReceiveWindow:                    s.u32(232),
		Rehash:                           s.u32(236),
		TotalRTO:                         s.u16(240),
		TotalRTORecoveries:               s.u16(242),
		TotalRTOMilliseconds:             s.u32(244),
	}
}

// Get asks the kernel about the connected socket fd. Its error is the unix.Errno of getsockopt().
func Get(fd int) (Info, error) {
	data := make([]byte, maximumBytes)
	length := uint32(maximumBytes)
	// unix.GetsockoptTCPInfo hides how many bytes the kernel wrote, and with them which fields are real.
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&data[0])), uintptr(unsafe.Pointer(&length)), 0) //nolint:gosec // the kernel writes at most length bytes
	if errno != 0 {
		return Info{}, errno
	}
	return Parse(data[:length]), nil
}

// structure is a copy of the kernel's bytes, and the fields point into it: one allocation for all, not one for each, since
// a dump of sockets has ten thousand of them. Its words keep the kernel's alignment. The byte order is the machine's.
type structure struct {
	words  [structureBytes / 8]uint64
	length int
}

// structureBytes holds all known fields; what the kernel appends after them is not copied.
const structureBytes = 248

func newStructure(data []byte) *structure {
	s := &structure{length: min(len(data), structureBytes)}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&s.words)), structureBytes), data) //nolint:gosec // the array has that many bytes
	return s
}

// at points to the field of a type that has one of the sizes below. It is nil where the field ends behind the data.
func at[T uint8 | uint16 | uint32 | uint64](s *structure, offset int) *T {
	if s.length < offset+int(unsafe.Sizeof(*new(T))) {
		return nil
	}
	return (*T)(unsafe.Add(unsafe.Pointer(&s.words), offset)) //nolint:gosec // it lies within the array, which holds length bytes
}

func (s *structure) u8(offset int) *uint8   { return at[uint8](s, offset) }
func (s *structure) u16(offset int) *uint16 { return at[uint16](s, offset) }
func (s *structure) u32(offset int) *uint32 { return at[uint32](s, offset) }
func (s *structure) u64(offset int) *uint64 { return at[uint64](s, offset) }

// bits reads four bits. C bit fields begin at the low end on little-endian machines, the only ones we build for.
func (s *structure) bits(offset, shift int) *uint8 {
	field := s.u8(offset)
	if field == nil {
		return nil
	}
	return new(*field >> shift & 0x0f)
}
