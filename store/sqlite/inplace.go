package sqlite

import (
	"fmt"
	"os"
)

// inPlace remembers the files that make up an open database. A file that is
// deleted or replaced lives on for who has it open, and SQLite goes on writing
// to it: whatever it acknowledges then is lost with the process. So before each
// COMMIT the names are asked whether they still mean these files. (Four calls
// of stat: a few microseconds, beside an fsync.)
type inPlace []openFile

type openFile struct {
	path string
	info os.FileInfo
}

// remember is for a database that has been read: then all its files are there.
// They are not opened here, for the sake of the locks (see creating).
func remember(path string) (inPlace, error) {
	var files inPlace
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		files = append(files, openFile{name, info})
	}
	return files, nil
}

// check fails if one of the files was deleted, moved away or replaced.
func (files inPlace) check() error {
	for _, file := range files {
		info, err := os.Stat(file.path)
		if err != nil {
			return fmt.Errorf("a file of the database is gone while it is in use (put it back, or restart): %w", err)
		}
		if !os.SameFile(info, file.info) {
			return fmt.Errorf("%s was replaced while it is in use; put the file back that was there, or restart", file.path)
		}
	}
	return nil
}
