package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// disk is mounted over a folder of the server, in a mount namespace of its
// process alone: a small one gets full, and one that is read-only refuses the
// superuser too.
type disk struct {
	Folder   string
	Bytes    int64 // of a fresh, empty disk; 0: the folder as it is
	ReadOnly bool
}

// disksOf hands the disks to the process, which mounts them itself: only there
// the namespace can be entered.
const disksOf = "BEARER_TEST_DISKS"

// mountDisks runs in the process under test, before it becomes Caddy.
func mountDisks() {
	var disks []disk
	if list := os.Getenv(disksOf); list == "" {
		return
	} else if err := json.Unmarshal([]byte(list), &disks); err != nil {
		panic(err)
	}
	for _, d := range disks {
		if err := d.mount(); err != nil {
			fmt.Fprintln(os.Stderr, "mount", d.Folder+":", err)
			os.Exit(exitNoMount)
		}
	}
}

const exitNoMount = 99

func (d *disk) mount() error {
	var err error
	if d.Bytes > 0 {
		err = syscall.Mount("disk", d.Folder, "tmpfs", 0, fmt.Sprintf("size=%d", d.Bytes))
	} else {
		err = syscall.Mount(d.Folder, d.Folder, "", syscall.MS_BIND, "")
	}
	if err != nil || !d.ReadOnly {
		return err
	}
	return syscall.Mount("", d.Folder, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

// attach lets a process see the server's disks.
func (s *server) attach(cmd *exec.Cmd) {
	if len(s.disks) == 0 {
		return
	}
	list, err := json.Marshal(s.disks)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, disksOf+"="+string(list))
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
}

// withDisk is a server whose database stands on a disk. The test is skipped
// where the system lets nobody mount one.
func withDisk(t *testing.T, d disk) *server {
	t.Helper()
	s := newServer(t)
	d.Folder = s.path("disk")
	if err := os.Mkdir(d.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s.config = replaced(t, s.config, "store sqlite "+s.path("bearer.db"), "store sqlite "+s.path("disk/bearer.db"))
	s.disks = []disk{d}
	probe := s.command("version")
	probe.SysProcAttr = new(syscall.SysProcAttr)
	s.attach(probe)
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: a disk of the test's own needs user and mount namespaces (as root, or with unprivileged user namespaces allowed): %v %s", err, out)
	}
	return s
}

// seen is a file as the process sees it, below its own disks.
func (s *server) seen(name string) string {
	return filepath.Join("/proc", fmt.Sprint(s.cmd.Process.Pid), "root", s.path(name))
}

// fill writes a file until no byte more fits on its disk.
func (s *server) fill(name string) {
	s.t.Helper()
	file, err := os.Create(s.seen(name))
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	for size := 64 << 10; size > 0; {
		if _, err = file.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		s.t.Fatalf("filling the disk: %v", err)
	}
}

// salvage copies a file that only the process sees.
func (s *server) salvage(name, to string) {
	s.t.Helper()
	from, err := os.Open(s.seen(name))
	if err != nil {
		s.t.Fatal(err)
	}
	defer from.Close()
	file, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.Copy(file, from); err != nil {
		s.t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// limitFiles forbids a running process to let any file grow beyond a size: its
// writes fail with an error that is not "disk full".
func (s *server) limitFiles(size uint64) {
	s.t.Helper()
	limit := syscall.Rlimit{Cur: size, Max: size}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(s.cmd.Process.Pid), syscall.RLIMIT_FSIZE,
		uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		s.t.Fatalf("prlimit: %v", errno)
	}
}
