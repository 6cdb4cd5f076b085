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

// deflatedZeros are zeros, compressed a thousand times.
func deflatedZeros(a *attack, size int) []byte {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		a.Fatal(err)
	}
	for zeros := make([]byte, 1<<20); size > 0; size -= len(zeros) {
		_, _ = w.Write(zeros)
	}
	if err := w.Close(); err != nil {
		a.Fatal(err)
	}
	return packed.Bytes()
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
