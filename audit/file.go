package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddy-bearer/caddy-bearer/internal/durable"
)

// File is a sink that appends lines to a file. It opens the file anew for each
// line, so that it follows a rotation by rename, and returns when the line is on
// the disk.
type File struct{ Path string }

// Deliver implements Sink. A missing file is made with mode 0600; its folder
// must exist.
func (f File) Deliver(_ context.Context, line string) error {
	// Opening a pipe that nobody reads would wait for ever.
	info, err := os.Stat(f.Path)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", f.Path)
	}
	file, err := os.OpenFile(f.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(appendLine(file, line), file.Close()); err != nil {
		return err
	}
	if isNew {
		return durable.SyncFolder(filepath.Dir(f.Path))
	}
	return nil
}

// appendLine writes a line with one call. A line before it that a full disk cut
// short is ended first.
func appendLine(file *os.File, line string) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var last [1]byte
	if size := info.Size(); size > 0 {
		if _, err := file.ReadAt(last[:], size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := file.WriteString(line + "\n"); err != nil {
		return err
	}
	return file.Sync()
}

func (f File) String() string { return "file " + f.Path }

// Close implements Sink: nothing is open.
func (File) Close() {}
