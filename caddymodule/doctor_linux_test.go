package caddymodule

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	goruntime "runtime"
)

// Who is not Caddy's user may look at the configuration, and is told what was left
// out: nothing is called missing or broken that cannot be seen.
func TestDoctorAsAnotherUser(t *testing.T) {
	s := newServer(t).start()
	s.signal(syscall.SIGTERM)
	s.await("the process ends", s.exited)
	x := &examination{ctx: t.Context(), machine: healthyMachine(), server: new(runningServer)}
	must(t, x.readFile(s.path("Caddyfile"), ""))
	x.app.Policies["test"] = "../examples/quickstart/policy.yaml" // which everybody may read
	defer asNobody(t, s.dir)()
	var seen []string
	for _, d := range x.examine([]string{"files"}) {
		if strings.HasSuffix(d.Check, "-place") {
			continue
		}
		seen = append(seen, string(d.Level)+" "+d.Check+" "+strings.TrimPrefix(d.Where, s.dir+"/"))
	}
	if want := []string{"note permission root.key", "note permission operator.token", "note permission revocations.journal", "note permission bearer.db"}; !slices.Equal(seen, want) {
		t.Errorf("found %q, want %q", seen, want)
	}
}

// asNobody has this goroutine touch files as somebody who may not enter the folder.
func asNobody(t *testing.T, folder string) (back func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		must(t, os.Chmod(folder, 0))
		return func() { must(t, os.Chmod(folder, 0o700)) }
	}
	goruntime.LockOSThread()
	must(t, syscall.Setfsuid(65534))
	return func() {
		must(t, syscall.Setfsuid(0))
		goruntime.UnlockOSThread()
	}
}
