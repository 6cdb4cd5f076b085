// Package durable writes files so that they outlive a power cut: whole or not at
// all, with the names by which they are found.
package durable

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// SyncFolder brings a folder's entries to the disk. Windows does so by itself
// and refuses to be asked.
func SyncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// MakeFolder is os.MkdirAll with mode 0700 and each new entry brought to the disk.
func MakeFolder(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := MakeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return SyncFolder(parent)
}

// Draft writes what is to become the file at path into one beside it, of mode
// 0600, and brings that to the disk. The caller renames it, or removes it.
func Draft(path, content string) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // O_EXCL, 0600
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Create writes a file that must not exist yet, of mode 0600: it is written under
// another name and then linked, because a link, unlike a rename, fails if the
// name is taken. A second process that starts at the same moment therefore reads
// the whole file or none. When it returns without error, file and name are on the
// disk. It fails with an error that is os.ErrExist if the file exists, and never
// touches that.
func Create(path, content string) error {
	draft, err := Draft(path, content)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Link(draft, path), os.Remove(draft)); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}
