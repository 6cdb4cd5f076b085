package issuer

import (
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// rotateRoot makes a new root key, as the command does.
func (b *bank) rotateRoot() {
	b.Helper()
	path := filepath.Join(b.folder, "root.key")
	inUse, err := token.LoadRootKey(path)
	if err != nil {
		b.Fatal(err)
	}
	root, err := token.RotateRootKey(path, inUse)
	if err != nil {
		b.Fatal(err)
	}
	b.authority.UseRootKey(root)
	if err := token.AdoptRootKey(b.Context(), b.store, root); err != nil {
		b.Fatal(err)
	}
}

// Who fetched the key set just before a key was added has it again before that key
// signs.
func TestNextKeyIsPublishedForLongerThanTheSetIsCached(t *testing.T) {
	b := newBank(t, nil)
	control := b.do(call{method: "GET", path: pathJWKS}).ok(t).header.Get("Cache-Control")
	seconds, err := strconv.Atoi(regexp.MustCompile(`max-age=(\d+)`).FindStringSubmatch(control)[1])
	if err != nil || time.Duration(seconds)*time.Second >= token.PublishAhead {
		t.Errorf("cached for %d s, published %s ahead, %v", seconds, token.PublishAhead, err)
	}
}

// A family whose links were made with three root keys: each retry gives the head,
// and reuse is still found out.
func TestRefreshFamilyAcrossRootKeys(t *testing.T) {
	b := newBank(t, nil)
	first := b.tokens()
	b.rotateRoot()
	second := b.pairOf(b.do(refreshCall(first.refresh)))
	b.rotateRoot()
	third := b.pairOf(b.do(refreshCall(second.refresh)))
	ids := map[string]bool{}
	for _, one := range []pair{first, second, third} {
		ids[token.KeyIDOf(one.refresh)] = true
	}
	if len(ids) != 3 {
		t.Errorf("the links were made with %v", ids)
	}
	for range 2 {
		for name, old := range map[string]pair{"first": first, "second": second} {
			if got := b.pairOf(b.do(refreshCall(old.refresh))); got.refresh != third.refresh {
				t.Errorf("the %s does not lead to the head", name)
			}
		}
		b.rotateRoot()
		b.restart()
	}
	b.clock.advance(31 * time.Second)
	fourth := b.pairOf(b.do(refreshCall(third.refresh)))
	b.do(refreshCall(first.refresh)).wantError(t, 400, "invalid_grant")
	b.wantVerdict(fourth.access, token.Revoked)
}

func TestCodeAcrossRootKeys(t *testing.T) {
	b := newBank(t, nil)
	code := b.code()
	b.rotateRoot()
	got := b.pairOf(b.do(redeemCall(code)))
	b.wantVerdict(got.access, token.Live)
	b.do(redeemCall(code)).wantError(t, 400, "invalid_grant")
}

// Renewals while the root key is rotated agree on one head.
func TestRootKeyRotatesUnderRenewals(t *testing.T) {
	b := newBank(t, nil)
	first := b.tokens()
	heads := make(chan string, 20)
	var all sync.WaitGroup
	for range cap(heads) {
		all.Go(func() { heads <- b.pairOf(b.do(refreshCall(first.refresh))).refresh })
	}
	b.rotateRoot()
	all.Wait()
	close(heads)
	head := <-heads
	for other := range heads {
		if other != head {
			t.Error("two heads")
		}
	}
	b.do(refreshCall(head)).ok(t)
}
