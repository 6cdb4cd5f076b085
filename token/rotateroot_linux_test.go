package token

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A secret that is mounted can't be written: nothing changes, and the error says
// so. For root, who may write everywhere, the thread becomes somebody else.
func TestRotateRootKeyInAPlaceThatIsReadOnly(t *testing.T) {
	const nobody = 65534
	folder, err := os.MkdirTemp("", "root-key")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	path := filepath.Join(folder, "root.key")
	root, err := CreateRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		for _, name := range []string{path, folder} {
			if err := os.Chown(name, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(folder, 0o700)

	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if os.Getuid() == 0 {
			_ = syscall.Setfsuid(nobody) // tells the id before, and no error
		}
		_, err := RotateRootKey(path, root)
		done <- err
	}()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "nothing was changed") || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed, %v", err)
	}
}
