//go:build unix

package sqlite

import (
	"os"
	"syscall"
	"testing"
)

// The owner alone may read and write, whatever the umask takes or leaves.
func TestFileModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o277} {
		old := syscall.Umask(0)
		path := inside(t)
		syscall.Umask(umask)
		s, err := Open(t.Context(), Options{Path: path})
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Error(err)
			} else if info.Mode() != 0o600 {
				t.Errorf("umask %03o: %s has mode %v", umask, suffix, info.Mode())
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
