package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// creating makes creation atomic within the process. POSIX drops all locks
// that a process holds on a file when it closes any descriptor of it: nobody
// may lock a new file before its creator has closed it. For the same reason
// nothing in this package ever opens an existing database file by itself.
var creating sync.Mutex

// resolve returns the one name of the database file, so that the lock beside it
// is the same whatever link it is opened by.
func resolve(path string) (string, error) {
	if path == "" {
		return "", errors.New("no path given")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved, nil
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("folder of the database: %w", err)
	}
	return filepath.Join(folder, filepath.Base(path)), nil
}

// create makes an empty file that only its owner may read, unless there is one.
// One that others may read is refused: it holds who owns what.
// SQLite gives its -wal and -shm files the mode of the database.
func create(path string) error {
	creating.Lock()
	defer creating.Unlock()
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o and is open to others; run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return fmt.Errorf("create a file: %w", err)
	}
	// The umask may have taken bits from the owner.
	return errors.Join(file.Chmod(0o600), file.Close())
}

// address is path as SQLite's URI, so that no character of it is mistaken for
// a parameter.
func address(path string, query ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	uri := url.URL{Scheme: "file", Path: path, RawQuery: strings.Join(query, "&")}
	return uri.String()
}
