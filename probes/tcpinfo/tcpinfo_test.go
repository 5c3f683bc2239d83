package tcpinfo

import (
	"encoding/binary"
	"net"
	"os"
	"reflect"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// field is one field of the kernel's struct, as golang.org/x/sys takes it from the kernel's headers.
type field struct {
	name   string
	offset uintptr
	bytes  uintptr
}

func fields() []field {
	var k unix.TCPInfo
	at := func(name string, offset, bytes uintptr) field { return field{name, offset, bytes} }
	return []field{
		at("State", unsafe.Offsetof(k.State), 1),
		at("CongestionState", unsafe.Offsetof(k.Ca_state), 1),
		at("Retransmits", unsafe.Offsetof(k.Retransmits), 1),
		at("Probes", unsafe.Offsetof(k.Probes), 1),
		at("Backoff", unsafe.Offsetof(k.Backoff), 1),
		at("Options", unsafe.Offsetof(k.Options), 1),
		at("RTOMicroseconds", unsafe.Offsetof(k.Rto), 4),
		at("ATOMicroseconds", unsafe.Offsetof(k.Ato), 4),
		at("SendMSS", unsafe.Offsetof(k.Snd_mss), 4),
		at("ReceiveMSS", unsafe.Offsetof(k.Rcv_mss), 4),
		at("Unacked", unsafe.Offsetof(k.Unacked), 4),
		at("Sacked", unsafe.Offsetof(k.Sacked), 4),
		at("Lost", unsafe.Offsetof(k.Lost), 4),
		at("Retrans", unsafe.Offsetof(k.Retrans), 4),
		at("LastDataSentMilliseconds", unsafe.Offsetof(k.Last_data_sent), 4),
		at("LastDataReceivedMilliseconds", unsafe.Offsetof(k.Last_data_recv), 4),
		at("LastAckReceivedMilliseconds", unsafe.Offsetof(k.Last_ack_recv), 4),
		at("PathMTU", unsafe.Offsetof(k.Pmtu), 4),
		at("ReceiveSlowStartThreshold", unsafe.Offsetof(k.Rcv_ssthresh), 4),
		at("RTTMicroseconds", unsafe.Offsetof(k.Rtt), 4),
		at("RTTVarMicroseconds", unsafe.Offsetof(k.Rttvar), 4),
		at("SendSlowStartThreshold", unsafe.Offsetof(k.Snd_ssthresh), 4),
		at("CongestionWindow", unsafe.Offsetof(k.Snd_cwnd), 4),
		at("AdvertisedMSS", unsafe.Offsetof(k.Advmss), 4),
		at("Reordering", unsafe.Offsetof(k.Reordering), 4),
		at("ReceiveRTTMicroseconds", unsafe.Offsetof(k.Rcv_rtt), 4),
		at("ReceiveSpace", unsafe.Offsetof(k.Rcv_space), 4),
		at("TotalRetrans", unsafe.Offsetof(k.Total_retrans), 4),
		at("PacingRateBytes", unsafe.Offsetof(k.Pacing_rate), 8),
		at("MaxPacingRateBytes", unsafe.Offsetof(k.Max_pacing_rate), 8),
		at("BytesAcked", unsafe.Offsetof(k.Bytes_acked), 8),
		at("BytesReceived", unsafe.Offsetof(k.Bytes_received), 8),
		at("SegmentsOut", unsafe.Offsetof(k.Segs_out), 4),
		at("SegmentsIn", unsafe.Offsetof(k.Segs_in), 4),
		at("NotSentBytes", unsafe.Offsetof(k.Notsent_bytes), 4),
		at("MinRTTMicroseconds", unsafe.Offsetof(k.Min_rtt), 4),
		at("DataSegmentsIn", unsafe.Offsetof(k.Data_segs_in), 4),
		at("DataSegmentsOut", unsafe.Offsetof(k.Data_segs_out), 4),
		at("DeliveryRateBytes", unsafe.Offsetof(k.Delivery_rate), 8),
		at("BusyMicroseconds", unsafe.Offsetof(k.Busy_time), 8),
		at("ReceiveWindowLimitedMicroseconds", unsafe.Offsetof(k.Rwnd_limited), 8),
		at("SendBufferLimitedMicroseconds", unsafe.Offsetof(k.Sndbuf_limited), 8),
		at("Delivered", unsafe.Offsetof(k.Delivered), 4),
		at("DeliveredCE", unsafe.Offsetof(k.Delivered_ce), 4),
		at("BytesSent", unsafe.Offsetof(k.Bytes_sent), 8),
		at("BytesRetransmitted", unsafe.Offsetof(k.Bytes_retrans), 8),
		at("DuplicateSacks", unsafe.Offsetof(k.Dsack_dups), 4),
		at("ReorderingSeen", unsafe.Offsetof(k.Reord_seen), 4),
		at("OutOfOrderPackets", unsafe.Offsetof(k.Rcv_ooopack), 4),
		at("SendWindow", unsafe.Offsetof(k.Snd_wnd), 4),
		at("ReceiveWindow", unsafe.Offsetof(k.Rcv_wnd), 4),
		at("Rehash", unsafe.Offsetof(k.Rehash), 4),
		at("TotalRTO", unsafe.Offsetof(k.Total_rto), 2),
		at("TotalRTORecoveries", unsafe.Offsetof(k.Total_rto_recoveries), 2),
		at("TotalRTOMilliseconds", unsafe.Offsetof(k.Total_rto_time), 4),
	}
}

// Each field is written alone, at the kernel's offset, and must be read under its name and not under another. One byte
// less, and it must be unknown.
func TestEveryFieldIsWhereTheKernelPutsIt(t *testing.T) {
	known := map[string]bool{"SendWindowScale": true, "ReceiveWindowScale": true}
	for _, f := range fields() {
		known[f.name] = true
		data := make([]byte, unix.SizeofTCPInfo)
		for i := range f.bytes {
			data[f.offset+i] = byte(0xa1 + i)
		}
		want := map[uintptr]uint64{
			1: 0xa1,
			2: uint64(binary.NativeEndian.Uint16([]byte{0xa1, 0xa2})),
			4: uint64(binary.NativeEndian.Uint32([]byte{0xa1, 0xa2, 0xa3, 0xa4})),
			8: binary.NativeEndian.Uint64([]byte{0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8}),
		}[f.bytes]
		for name, got := range values(Parse(data)) {
			switch {
			case got == nil:
				t.Errorf("%s is unknown although all bytes are there", name)
			case name == f.name && *got != want:
				t.Errorf("%s = %x, want %x", name, *got, want)
			case name != f.name && *got != 0:
				t.Errorf("%s was written, but %s = %x", f.name, name, *got)
			}
		}
		if got := values(Parse(data[:f.offset+f.bytes-1]))[f.name]; got != nil {
			t.Errorf("%s = %x although its last byte is not there", f.name, *got)
		}
	}
	for name := range values(Info{}) {
		if !known[name] {
			t.Errorf("the field %s is in no test", name)
		}
	}
}

func TestWindowScales(t *testing.T) {
	info := Parse([]byte{0, 0, 0, 0, 0, 0, 0x7a, 0})
	if *info.SendWindowScale != 0xa || *info.ReceiveWindowScale != 0x7 {
		t.Errorf("scales %d and %d, want 10 for sending and 7 for receiving", *info.SendWindowScale, *info.ReceiveWindowScale)
	}
}

// values returns the fields of an Info by name, nil where the kernel did not say.
func values(info Info) map[string]*uint64 {
	all := map[string]*uint64{}
	v := reflect.ValueOf(info)
	for i := range v.NumField() {
		all[v.Type().Field(i).Name] = nil
		if !v.Field(i).IsNil() {
			all[v.Type().Field(i).Name] = new(v.Field(i).Elem().Uint())
		}
	}
	return all
}

func TestGetOfARealConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	tcp, ok := connection.(*net.TCPConn)
	if !ok {
		t.Fatal("no TCP connection")
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info Info
	var getErr error
	if err := raw.Control(func(fd uintptr) { info, getErr = Get(int(fd)) }); err != nil || getErr != nil {
		t.Fatal(err, getErr)
	}
	if info.State == nil || *info.State != 1 || info.RTTMicroseconds == nil || *info.RTTMicroseconds == 0 {
		t.Errorf("tcp_info of an established connection: state %v, RTT %v", info.State, info.RTTMicroseconds)
	}
	if _, err := Get(-1); err == nil {
		t.Error("no error for a descriptor that is none")
	}
}

func FuzzParse(f *testing.F) {
	capture, err := os.ReadFile("testdata/linux-6.18-established.bin")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(capture)
	f.Add([]byte{})
	f.Add(make([]byte, unix.SizeofTCPInfo))
	f.Fuzz(func(t *testing.T, data []byte) {
		values := values(Parse(data))
		for _, field := range fields() {
			if there := len(data) >= int(field.offset+field.bytes); there != (values[field.name] != nil) {
				t.Errorf("%s of %d bytes: known %v, want %v", field.name, len(data), !there, there)
			}
		}
	})
}
