package caddymodule

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

const (
	// clockTolerance is how far what was written may be ahead of the clock.
	clockTolerance = 10 * time.Second

	// leastFiles is how many files and connections a server should be able to have
	// open.
	leastFiles = 4096

	// besideCaches is the memory that a server needs beside its caches, in bytes.
	besideCaches = 128 << 20
)

// machine is what the checks ask the system; tests have one of their own.
type machine struct {
	now     func() time.Time
	synced  func() (synced, known bool) // whether something keeps the clock right
	disk    func(folder string) (diskFacts, error)
	memory  func(pid int) int64 // that a process may have, in bytes; 0: not known
	process func(pid int) processFacts
}

// diskFacts are about the disk of a folder.
type diskFacts struct {
	free  int64 // for this user, in bytes
	known bool
	kind  diskKind
}

type diskKind int

const (
	diskLocal diskKind = iota
	diskNetwork
	diskMemory
)

// processFacts are about a server's process; zero where they are not known.
type processFacts struct {
	files      int64  // that it may have open
	swapped    int64  // bytes of it that are on the swap disk
	memory     string // its GOMEMLIMIT
	collection string // its GOGC
}

func thisMachine() machine {
	return machine{now: time.Now, synced: clockSynced, disk: diskUnder, memory: memoryOf, process: processOf}
}

func (x *examination) clockBehind(than string, newest time.Time) {
	x.find(levelError, "clock", x.file, "set the clock right (NTP) before Caddy starts: what has expired would be good again",
		"the system's clock says %s, and %s was last written at %s", x.machine.now().UTC().Format(time.RFC3339), than, newest.UTC().Format(time.RFC3339))
}

func (x *examination) checkClock() {
	if synced, known := x.machine.synced(); known && !synced {
		x.find(levelNote, "clock-sync", "", "run chrony or systemd-timesyncd", "nothing tells the system's clock the time (NTP)")
	}
}

// checkMemory holds what the caches may take against what there is.
func (x *examination) checkMemory() {
	if x.app == nil {
		return
	}
	need := int64(len(x.app.Environments))*x.app.CacheSize + besideCaches
	if limit := x.machine.memory(x.pid()); limit > 0 && need > limit {
		x.find(levelWarning, "memory", x.at("cache_size"), "make cache_size smaller or give the process more",
			"%d caches of %d MiB and what else is needed don't fit into %d MiB", len(x.app.Environments), x.app.CacheSize>>20, limit>>20)
	}
}

// checkProcess looks at the process that serves, if it could be found out.
func (x *examination) checkProcess() {
	pid := x.pid()
	if pid == 0 {
		return
	}
	facts := x.machine.process(pid)
	if facts.files > 0 && facts.files < leastFiles {
		x.find(levelWarning, "open-files", "", "with systemd: LimitNOFILE=1048576", "the server may have %d files and connections open: each request takes two", facts.files)
	}
	if facts.swapped > 0 {
		x.find(levelWarning, "swap", "", "with systemd: MemorySwapMax=0, or turn swap off", "%d KiB of the server are on the swap disk, keys perhaps among them", facts.swapped>>10)
	}
	limit := x.machine.memory(pid)
	if set, err := parseMemory(facts.memory); err == nil && limit > 0 && set > limit {
		x.find(levelWarning, "gomemlimit", "", "set it to nine tenths of what the process may have, or not at all",
			"GOMEMLIMIT is %s, and the process may have %d MiB: it is killed before it cleans up", facts.memory, limit>>20)
	}
	if facts.collection == "off" && facts.memory == "" {
		x.find(levelWarning, "gogc", "", "remove GOGC, or set GOMEMLIMIT too", "GOGC is off and there is no GOMEMLIMIT: memory is never given back")
	}
}

// pid is the process of the running server, 0 if it is not known.
func (x *examination) pid() int {
	if x.server == nil {
		return 0
	}
	return x.server.pid
}

// parseMemory reads a size as GOMEMLIMIT has it.
func parseMemory(text string) (int64, error) {
	factor := int64(1)
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if number, found := strings.CutSuffix(text, unit); found {
			text, factor = number, 1<<(10*(i+1))
		}
	}
	number, err := strconv.ParseInt(strings.TrimSuffix(text, "B"), 10, 64)
	return number * factor, err
}

// memoryOf is what a process may have: what Go was told, its control group, or the
// machine. Pid 0 is this process.
func memoryOf(pid int) int64 {
	if limit := groupMemory(pid); limit > 0 {
		return limit
	}
	if limit := debug.SetMemoryLimit(-1); pid == 0 && limit < math.MaxInt64 {
		return limit
	}
	return machineMemory()
}

// groupMemory is the memory limit of the control group (version 2) of a process,
// 0 if there is none.
func groupMemory(pid int) int64 {
	name := "self"
	if pid != 0 {
		name = strconv.Itoa(pid)
	}
	text, err := os.ReadFile("/proc/" + name + "/cgroup")
	if err != nil {
		return 0
	}
	_, group, found := strings.Cut(string(text), "0::")
	if !found {
		return 0
	}
	group, _, _ = strings.Cut(group, "\n")
	limit, err := os.ReadFile("/sys/fs/cgroup" + group + "/memory.max")
	if err != nil {
		return 0
	}
	bytes, _ := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64) // "max" is none
	return bytes
}

// machineMemory is the memory of the machine, 0 if it is not known.
func machineMemory() int64 { return procValue("/proc/meminfo", "MemTotal:") << 10 }

// procValue reads a number from a file of /proc with a line for each.
func procValue(file, name string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name); found {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				return 0
			}
			number, _ := strconv.ParseInt(fields[0], 10, 64) // "unlimited" is none
			return number
		}
	}
	return 0
}

// processOf reads what /proc tells of a process, which of its surroundings it
// does to the same user alone.
func processOf(pid int) (facts processFacts) {
	folder := "/proc/" + strconv.Itoa(pid)
	facts.files = procValue(folder+"/limits", "Max open files")
	facts.swapped = procValue(folder+"/status", "VmSwap:") << 10
	surroundings, err := os.ReadFile(folder + "/environ")
	if err != nil {
		return facts
	}
	for entry := range strings.SplitSeq(string(surroundings), "\x00") {
		switch name, value, _ := strings.Cut(entry, "="); name {
		case "GOMEMLIMIT":
			facts.memory = value
		case "GOGC":
			facts.collection = value
		}
	}
	return facts
}
