package accept

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Where a filter of a TCP socket finds what it looks at: its data begins with TCP's header
// (RFC 9293), and the network header is at an offset of its own
// (https://docs.kernel.org/networking/filter.html).
const (
	tcpFlags      = 13
	flagSYN       = 0x02
	flagACK       = 0x10
	networkHeader = 0xfff00000 // SKF_NET_OFF
	ipv4Source    = networkHeader + 12
	ipv6Source    = networkHeader + 8
)

// attachFilter has the kernel drop the SYN packets that come to a listening socket from these
// addresses (of IPv6: networks, /64), and from no others. Established connections are not
// affected.
func attachFilter(socket syscall.RawConn, addresses []netip.Addr) error {
	assembled, err := bpf.Assemble(program(addresses))
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	instructions := make([]unix.SockFilter, 0, len(assembled))
	for _, i := range assembled {
		instructions = append(instructions, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	var failed error
	err = socket.Control(func(fd uintptr) {
		if len(addresses) == 0 {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
			return
		}
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{
			Len: uint16(len(instructions)), Filter: &instructions[0],
		})
	})
	return errors.Join(err, failed)
}

// program returns the filter in the instructions of classic BPF.
func program(addresses []netip.Addr) []bpf.Instruction {
	drop, keep := bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: 0xffffffff}
	four := []bpf.Instruction{bpf.LoadAbsolute{Off: ipv4Source, Size: 4}}
	var six []bpf.Instruction
	for _, address := range addresses {
		b := address.AsSlice()
		isFirst := bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(b)}
		if address.Is4() {
			isFirst.SkipFalse = 1
			four = append(four, isFirst, drop)
			continue
		}
		isFirst.SkipFalse = 3
		six = append(six, bpf.LoadAbsolute{Off: ipv6Source, Size: 4}, isFirst, bpf.LoadAbsolute{Off: ipv6Source + 4, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(b[4:]), SkipFalse: 1}, drop)
	}
	all := []bpf.Instruction{
		bpf.LoadAbsolute{Off: tcpFlags, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: flagSYN | flagACK},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: flagSYN, SkipTrue: 1}, // it begins a connection
		keep,
		bpf.LoadAbsolute{Off: networkHeader, Size: 1}, // which begins with its version
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 4, SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(four) + 1)},
	}
	all = append(append(all, four...), keep)
	return append(append(all, six...), keep)
}
