package caddymodule

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// keyboard is a terminal on which somebody types what a command asks for.
type keyboard struct {
	s      *server
	master *os.File
	cmd    *exec.Cmd
	stdout bytes.Buffer
	done   chan struct{}

	mu     sync.Mutex
	screen bytes.Buffer
}

// atTerminal runs a command on a terminal of its own (pty(7)). Its output goes
// elsewhere, as in a pipe.
func (s *server) atTerminal(args ...string) *keyboard {
	s.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		s.t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		s.t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer terminal.Close()
	k := &keyboard{s: s, master: master, cmd: s.command(args...), done: make(chan struct{})}
	k.cmd.Stdin, k.cmd.Stdout, k.cmd.Stderr = terminal, &k.stdout, terminal
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := k.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go k.watch()
	return k
}

// watch reads the screen until nobody writes to it any more.
func (k *keyboard) watch() {
	defer close(k.done)
	buffer := make([]byte, 4096)
	for {
		n, err := k.master.Read(buffer)
		k.mu.Lock()
		k.screen.Write(buffer[:n])
		k.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (k *keyboard) shows() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.screen.String()
}

// types answers a prompt. A person begins to type when the screen no longer shows
// what is typed, or it would be seen.
func (k *keyboard) types(prompt, line string) {
	k.s.t.Helper()
	k.s.eventually("the terminal asks: "+prompt, func() bool {
		settings, err := unix.IoctlGetTermios(int(k.master.Fd()), unix.TCGETS)
		return err == nil && settings.Lflag&unix.ECHO == 0 && strings.HasSuffix(k.shows(), prompt)
	})
	if _, err := k.master.WriteString(line + "\n"); err != nil {
		k.s.t.Fatal(err)
	}
}

// ends waits for the end of the command and returns its exit code.
func (k *keyboard) ends() int {
	k.s.t.Helper()
	_ = k.cmd.Wait()
	<-k.done
	return k.cmd.ProcessState.ExitCode()
}

// A person types a password twice, and the screen shows neither.
func TestPasswordIsTypedTwiceAndNotSeen(t *testing.T) {
	s := newServer(t).start()
	const password = "canary battery staple"
	for _, args := range [][]string{{"bearer", "user", "add", "alice", "--password-stdin"}, {"bearer", "user", "password", "alice"}} {
		k := s.atTerminal(args...)
		k.types("New password: ", password+" "+args[2])
		k.types("The same again: ", password+" "+args[2])
		if code := k.ends(); code != 0 || strings.Contains(k.shows()+k.stdout.String(), "canary") {
			t.Fatalf("%v: exit code %d, the screen shows %q, printed %q", args, code, k.shows(), k.stdout.String())
		}
		if status := s.signIn(s.browser(), "alice", password+" "+args[2]); status != http.StatusSeeOther {
			t.Errorf("%v: status %d", args, status)
		}
	}
	if status := s.signIn(s.browser(), "alice", password+" add"); status != http.StatusForbidden {
		t.Errorf("the password from before: status %d", status)
	}

	k := s.atTerminal("bearer", "user", "add", "bob", "--password-stdin")
	k.types("New password: ", password)
	k.types("The same again: ", password+"!")
	if code := k.ends(); code != 2 || !strings.Contains(k.shows(), "the two differ") || strings.Contains(k.shows(), "canary") {
		t.Errorf("two that differ: exit code %d, the screen shows %q", code, k.shows())
	}
	if _, stderr, code := s.run("", "bearer", "user", "show", "bob"); code != 1 || !strings.Contains(stderr, `there is no user "bob"`) {
		t.Errorf("bob: exit code %d %s", code, stderr)
	}
}
