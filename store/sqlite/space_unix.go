//go:build linux || darwin

package sqlite

import "syscall"

// freeSpace is what the process may still write to a folder's disk, in bytes.
func freeSpace(folder string) (bytes int64, known bool, err error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(folder, &disk); err != nil {
		return 0, false, err
	}
	return int64(disk.Bavail) * int64(disk.Bsize), true, nil //nolint:unconvert // the types differ between systems
}
