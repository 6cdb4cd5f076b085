package notify

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// The receiver of docs/bots.md takes what we send, and nothing else.
func TestReceiverOfTheDocs(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not there")
	}
	page, err := os.ReadFile("../docs/bots.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(page), "```python\n")
	code, _, found := strings.Cut(code, "```\n")
	if !found {
		t.Fatal("docs/bots.md has no receiver")
	}
	script := filepath.Join(t.TempDir(), "receiver.py")
	if err := os.WriteFile(script, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}

	w := newTown(t)
	w.now = time.Now()
	secret := w.hook("alice")
	w.issue("alice", "Reports", 0)
	w.pass(time.Millisecond)
	genuine := w.receiver.take()[0]

	port := freeport.Find(t)
	cmd := exec.Command(python, script)
	cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret, "PORT="+port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	post := func(header http.Header, body string) (status int) {
		t.Helper()
		w.until(func() bool {
			request, err := http.NewRequest("POST", "http://127.0.0.1:"+port, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header = header.Clone()
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return false // it does not listen yet
			}
			response.Body.Close()
			status = response.StatusCode
			return true
		})
		return status
	}
	with := func(name, value string) http.Header {
		header := genuine.header.Clone()
		header.Set(name, value)
		return header
	}
	if status := post(genuine.header, genuine.body); status != 204 {
		t.Errorf("a genuine message: %d", status)
	}
	old := strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	for name, status := range map[string]int{
		"another body":      post(genuine.header, strings.Replace(genuine.body, "Reports", "Reportx", 1)),
		"another id":        post(with("Webhook-Id", "msg_x"), genuine.body),
		"an old time":       post(with("Webhook-Timestamp", old), genuine.body),
		"no signature":      post(with("Webhook-Signature", ""), genuine.body),
		"another signature": post(with("Webhook-Signature", "v1,AAAA"), genuine.body),
	} {
		if status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
}
