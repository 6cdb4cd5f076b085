package caddymodule

import (
	"net"

	"golang.org/x/sys/unix"
)

// networkDisks are file systems that are elsewhere, by the numbers of statfs(2).
var networkDisks = map[int64]bool{
	0x6969: true, 0xff534d42: true, 0xfe534d42: true, 0x517b: true, 0x01021997: true, 0x00c36400: true, 0x5346414f: true, 0x6b414653: true, 0x0bd00bd0: true,
}

func diskUnder(folder string) (diskFacts, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(folder, &disk); err != nil {
		return diskFacts{}, err
	}
	facts := diskFacts{free: int64(disk.Bavail) * int64(disk.Bsize), known: true} //nolint:unconvert // the types differ between processors
	kind := int64(uint32(disk.Type))
	switch {
	case networkDisks[kind]:
		facts.kind = diskNetwork
	case kind == unix.TMPFS_MAGIC, kind == unix.RAMFS_MAGIC:
		facts.kind = diskMemory
	}
	return facts, nil
}

// clockSynced asks the kernel whether anything keeps its clock right.
func clockSynced() (synced, known bool) {
	state, err := unix.Adjtimex(new(unix.Timex))
	return state != unix.TIME_ERROR, err == nil
}

// peerProcess is the process at the other end of a Unix socket, 0 if it is not
// known.
func peerProcess(conn net.Conn) int {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}
