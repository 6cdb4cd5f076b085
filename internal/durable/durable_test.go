package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// holds checks that a folder holds this one file, and what is in it.
func holds(t *testing.T, path, content string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("in the folder are %v, expected only %s", entries, filepath.Base(path))
	}
	text, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if string(text) != content || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("%s has mode %04o and holds %q", path, info.Mode().Perm(), text)
	}
}

func TestMakeFolderMakesAllThatIsMissing(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "a", "b")
	for range 2 { // the second finds it
		must(t, MakeFolder(path))
	}
	info, err := os.Stat(filepath.Join(top, "a"))
	must(t, err)
	if info.Mode().Perm() != 0o700 && runtime.GOOS != "windows" {
		t.Errorf("made with mode %04o", info.Mode().Perm())
	}
	file := filepath.Join(top, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if err := MakeFolder(filepath.Join(file, "below")); err == nil {
		t.Error("made a folder in a file")
	}
}

func TestCreateNeverTouchesWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	must(t, Create(path, "first"))
	if err := Create(path, "second"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created again: %v", err)
	}
	holds(t, path, "first")
}

// Of many that start at the same moment one wins, and all read what it wrote.
func TestCreateAtOnceIsWholeOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	var group sync.WaitGroup
	won := make(chan string, 8)
	for _, content := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		group.Go(func() {
			err := Create(path, content)
			if err == nil {
				won <- content
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
			if text, err := os.ReadFile(path); err != nil || len(text) != 1 {
				t.Errorf("read %q, %v", text, err)
			}
		})
	}
	group.Wait()
	if len(won) != 1 {
		t.Fatalf("%d of them created the file", len(won))
	}
	holds(t, path, <-won)
}

func TestDraftIsWrittenBeside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	draft, err := Draft(path, "new")
	must(t, err)
	if filepath.Dir(draft) != filepath.Dir(path) || draft == path {
		t.Errorf("the draft is %s", draft)
	}
	holds(t, draft, "new")
	must(t, os.Rename(draft, path))
	must(t, SyncFolder(filepath.Dir(path)))
	holds(t, path, "new")
}

func TestFolderThatIsMissing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	path := filepath.Join(missing, "file")
	_, err := Draft(path, "x")
	for what, err := range map[string]error{"draft": err, "create": Create(path, "x")} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s in a folder that is missing: %v", what, err)
		}
	}
	if err := SyncFolder(missing); err == nil && runtime.GOOS != "windows" {
		t.Error("a folder that is missing was synced")
	}
}
