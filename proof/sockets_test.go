//go:build proof

package proof

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// lookAtSockets finds a connection that the server opened to anything but the API
// behind it: made-up tokens must not make it ask anybody. It is a look at /proc,
// and there is none elsewhere.
func (o *onslaught) lookAtSockets() {
	dir := fmt.Sprint("/proc/", o.cmd.Process.Pid)
	links, err := filepath.Glob(dir + "/fd/*")
	if err != nil || len(links) == 0 {
		return
	}
	own := map[string]bool{}
	for _, link := range links {
		target, _ := os.Readlink(link) // it may be closed by now
		if inode, is := strings.CutPrefix(target, "socket:["); is {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile(dir + "/net/" + table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 10 || !own[fields[9]] {
				continue
			}
			local, remote := socketAddress(fields[1]), socketAddress(fields[2])
			if remote.Port() == 0 || remote.String() == o.backend.address() ||
				local.String() == o.api || local.String() == o.issuer {
				continue
			}
			o.wrong.add("the server has a connection from %s to %s", local, remote)
		}
	}
}

// socketAddress reads an address as it stands in /proc/net: words of four bytes,
// each in the machine's order, which is little-endian on all that we build for.
func socketAddress(text string) netip.AddrPort {
	address, port, _ := strings.Cut(text, ":")
	bytes, _ := hex.DecodeString(address)
	for word := range slices.Chunk(bytes, 4) {
		slices.Reverse(word)
	}
	ip, _ := netip.AddrFromSlice(bytes)
	var number uint16
	_, _ = fmt.Sscanf(port, "%X", &number)
	return netip.AddrPortFrom(ip.Unmap(), number)
}
