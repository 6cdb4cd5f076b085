package attacks

import (
	"bytes"
	"compress/flate"
	"fmt"
	"os"
	"strings"
)

// memory is how much the server has needed at most, in bytes (VmHWM).
func (s *server) memory() (size int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &size); err == nil {
			return size << 10
		}
	}
	panic("no VmHWM")
}

// deflatedZeros are zeros, compressed a thousand times: one MiB of them, again and
// again, which takes no time.
func deflatedZeros(a *attack, size int) []byte {
	const one = 1 << 20
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		a.Fatal(err)
	}
	_, _ = w.Write(make([]byte, one))
	if err := w.Flush(); err != nil { // the block ends with a byte
		a.Fatal(err)
	}
	return append(bytes.Repeat(packed.Bytes(), size/one), 3, 0) // and an empty last block
}

// deflated is a text as zip "DEF" would have it (RFC 7516 §4.1.3).
func deflated(a *attack, text string) []byte {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		a.Fatal(err)
	}
	_, _ = w.Write([]byte(text))
	if err := w.Close(); err != nil {
		a.Fatal(err)
	}
	return packed.Bytes()
}
