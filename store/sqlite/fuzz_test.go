package sqlite

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzInspect: a database file that was damaged anywhere, cut or continued is
// refused or described, soon, and neither changed nor given company.
func FuzzInspect(f *testing.F) {
	s := opened(f, Options{})
	if err := issue(s, "g"); err != nil {
		f.Fatal(err)
	}
	path, err := s.Backup(context.Background(), now)
	if err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	size := uint32(len(whole))
	f.Add(uint32(0), []byte{}, size)
	f.Add(uint32(0), []byte("SQLite format 4\x00"), size)
	f.Add(uint32(16), []byte{0, 1}, size)                              // page size of 1: 65536
	f.Add(uint32(18), []byte{2, 2}, size)                              // WAL
	f.Add(uint32(28), []byte{0xff, 0xff, 0xff, 0xff}, size)            // size in pages
	f.Add(uint32(32), []byte{0, 0, 0, 1, 0, 0, 0, 1}, size)            // free pages
	f.Add(uint32(100), []byte{0x0d, 0, 0, 0xff, 0xff, 0, 0}, size)     // header of the first page
	f.Add(uint32(4096), bytes.Repeat([]byte{0xff}, 64), size)          // second page
	f.Add(uint32(4096), []byte{5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2}, size) // a page that is its own child
	f.Add(uint32(0), []byte{}, uint32(0))
	f.Add(uint32(0), []byte{}, size/2)
	f.Add(uint32(0), []byte{}, size-1)
	f.Add(size, []byte("more"), size+4096)
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, size uint32) {
		content := make([]byte, min(size, 2*uint32(len(whole))))
		copy(content, whole)
		copy(content[min(at, uint32(len(content))):], patch)
		path := filepath.Join(folder, "copy.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		info, err := Inspect(ctx, path)
		if ctx.Err() != nil {
			t.Fatal("took longer than 30 s")
		}
		if err == nil && (info.Identity == "" || info.Size != int64(len(content))) {
			t.Errorf("described as %+v", info)
		}
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, content) {
			t.Errorf("the file was changed: %v", err)
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
			t.Errorf("files beside it: %v, %v", entries, err)
		}
	})
}
