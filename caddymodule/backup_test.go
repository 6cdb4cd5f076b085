package caddymodule

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Whatever comes instead of a whole copy gets no name.
func TestBackupThatArrivesDamaged(t *testing.T) {
	t.Parallel()
	digest := func(body string) string {
		sum := sha256.Sum256([]byte(body))
		return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	const text = "dear diary, this is no database"
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"cut short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(2*len(text)))
			w.Header().Set("Content-Digest", digest(text))
			_, _ = w.Write([]byte(text))
		}, "broke off after " + strconv.Itoa(len(text)) + " of"},
		"changed on the way": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Digest", digest("something else"))
			_, _ = w.Write([]byte(text))
		}, "arrived damaged"},
		"without a digest": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(text))
		}, "arrived damaged"},
		"not a database": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Digest", digest(text))
			_, _ = w.Write([]byte(text))
		}, "is no good"},
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInsufficientStorage)
			_, _ = w.Write([]byte(`{"error":"there is no room"}`))
		}, "there is no room"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			listener, err := net.Listen("unix", s.path("admin.sock"))
			if err != nil {
				t.Fatal(err)
			}
			fake := &http.Server{Handler: test.answer, ReadHeaderTimeout: time.Minute}
			go func() { _ = fake.Serve(listener) }()
			t.Cleanup(func() { fake.Close() })
			_, complaint, code := s.run("", "bearer", "backup", s.path("backup.db"))
			if code != exitFailed || !strings.Contains(complaint, test.says) {
				t.Errorf("exit %d: %s; want it to say %q", code, complaint, test.says)
			}
			for _, pattern := range []string{"backup.db", ".bearer-backup-*"} {
				if left, _ := filepath.Glob(s.path(pattern)); len(left) != 0 {
					t.Errorf("left behind: %v", left)
				}
			}
		})
	}
}

// backupFrom asks the admin API for a copy.
func backupFrom(t *testing.T, client *http.Client, base, token string) (status int, body string) {
	t.Helper()
	request := newAdminRequest(t, "POST", base+"/bearer/backup", "")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	must(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(content)
}

func TestBackupOneAtATime(t *testing.T) {
	w := newAdminWorld(t)
	w.app.runtime.copying.Lock()
	if status, body := backupFrom(t, w.socket, "http://localhost", ""); status != http.StatusConflict || !strings.Contains(body, "under way") {
		t.Errorf("while another is under way: %d %s", status, body)
	}
	w.app.runtime.copying.Unlock()
	if status, body := backupFrom(t, w.socket, "http://localhost", ""); status != 200 || !strings.HasPrefix(body, "SQLite format 3") {
		t.Errorf("afterwards: %d, %d bytes", status, len(body))
	}
}

// The copy holds who owns what: who may only revoke must not have it.
func TestBackupByTheWrongRole(t *testing.T) {
	w := newAdminWorld(t)
	base := w.listenTCP("127.0.0.1")
	for r, want := range map[role]int{roleRead: 403, roleRevoke: 403, roleAdmin: 200} {
		if status, body := backupFrom(t, http.DefaultClient, base, w.operatorToken(r)); status != want {
			t.Errorf("%s: %d %.200s", r, status, body)
		}
	}
	w.app.runtime.copying.Lock() // held until the copy is gone
	defer w.app.runtime.copying.Unlock()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(w.app.Store.Path), "*.backup-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
