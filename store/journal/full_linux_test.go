package journal

import (
	"strings"
	"syscall"
	"testing"
)

// The disk is full in the middle of a line: the kernel refuses to let the
// journal grow. The database, whose files are smaller here, goes on.
func TestDiskFullInTheMiddleOfALine(t *testing.T) {
	w := newWorld(t)
	w.revoke("before")
	j := w.journal.Load()
	for i := range 64 {
		j.Note(env, "client.set", "client:"+strings.Repeat("x", 64<<10)+string(rune('a'+i)))
	}
	var old syscall.Rlimit
	w.must(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	limit := old
	limit.Cur = uint64(len(w.bytes())) + 20
	w.must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	restore := func() { w.must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)) }
	defer restore()

	w.revoke("meanwhile")
	w.revoke("later")
	w.equal("in the file, of which half a line is torn", w.targets(), []string{"before"})
	if text := w.bytes(); text[len(text)-1] == '\n' {
		t.Error("no line was torn: the test proves nothing")
	}
	if n := w.logged.FilterMessageSnippet("cannot be written").Len(); n != 1 {
		t.Errorf("%d errors in the log", n)
	}
	// What the process leaves behind now is no older copy to the next.
	torn := w.bytes()
	restore()
	w.must(j.rewrite(t.Context(), ""))
	w.equal("when there is room again", w.targets(), []string{"before", "later", "meanwhile"})
	w.close()
	w.write(torn)
	w.must(w.open())
	w.equal("killed before there was", w.targets(), []string{"before", "later", "meanwhile"})
}
