//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// process is one server of a run: a contender or the upstream.
type process struct {
	name string
	dir  string
	port string

	cmd    *exec.Cmd
	said   bytes.Buffer
	exited chan struct{}
}

// start runs a server in a folder of its own until stop.
func start(name, dir, port string, environment []string, command ...string) (*process, error) {
	p := &process{name: name, dir: dir, port: port, exited: make(chan struct{})}
	p.cmd = exec.Command(command[0], command[1:]...) //nolint:gosec // G204: which programs run is written in contenders.go
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+filepath.Join(dir, "data"), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
	p.cmd.Env = append(p.cmd.Env, environment...)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	// What serves ends with us, whatever ends us. In a group of its own it does
	// not hear of the interrupt that stop answers.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	if err := p.listening(); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w\n%s", name, err, p.said.String())
	}
	return p, nil
}

// listening waits until the server takes connections.
func (p *process) listening() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.exited:
			return errors.New("ended by itself")
		case <-ctx.Done():
			return fmt.Errorf("does not listen at %s: %w", p.address(), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *process) address() string { return "127.0.0.1:" + p.port }

// stop ends the server and all that it started.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
	}
}

// freePort returns a port of the loopback that nobody listens at.
func freePort() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// tick is the unit of times in /proc: Linux tells programs 100 Hz, whatever it
// counts in.
const tick = 10 * time.Millisecond

// cpu is the processor time that the server and its children have used.
func (p *process) cpu() (time.Duration, error) {
	var sum time.Duration
	err := p.each(func(pid string) error {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil {
			return err
		}
		used, err := cpuOf(string(stat))
		sum += used
		return err
	})
	return sum, err
}

// memory is the most resident memory in bytes that the server's processes ever
// had (VmHWM), or have now (VmRSS).
func (p *process) memory(field string) (int64, error) {
	var sum int64
	err := p.each(func(pid string) error {
		status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
		if err != nil {
			return err
		}
		bytes, err := memoryOf(string(status), field)
		sum += bytes
		return err
	})
	return sum, err
}

// each visits the server's process and those below it.
func (p *process) each(visit func(pid string) error) error {
	family := []string{strconv.Itoa(p.cmd.Process.Pid)}
	for i := 0; i < len(family); i++ {
		if err := visit(family[i]); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		lists, err := filepath.Glob(filepath.Join("/proc", family[i], "task", "*", "children"))
		if err != nil {
			return err
		}
		for _, list := range lists {
			children, err := os.ReadFile(list)
			if err != nil {
				continue // a thread that has ended
			}
			for pid := range strings.FieldsSeq(string(children)) {
				if !slices.Contains(family, pid) {
					family = append(family, pid)
				}
			}
		}
	}
	return nil
}

// cpuOf reads utime and stime (proc_pid_stat(5)). The name before them may hold
// anything, blanks and parentheses too.
func cpuOf(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("a line of /proc that is too short")
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, err
}

// memoryOf reads a field of /proc/PID/status, in bytes.
func memoryOf(status, field string) (int64, error) {
	for line := range strings.Lines(status) {
		if value, found := strings.CutPrefix(line, field+":"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in a process's status", field)
}
