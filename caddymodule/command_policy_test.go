package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"testing"
)

// The revision is that of what is enforced: of the file that changed, but not of
// one that is bad.
func TestPolicyListShowsWhatIsEnforced(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	shows := func(content string) func() bool {
		sum := sha256.Sum256([]byte(content))
		line := regexp.MustCompile(`(?m)^test +` + hex.EncodeToString(sum[:])[:12] + ` +sandbox +` + regexp.QuoteMeta(s.path("policy.yaml")) + `$`)
		return func() bool { return line.MatchString(s.ok("", "bearer", "policy", "list")) }
	}
	if !shows(testPolicy)() {
		t.Errorf("at the start:\n%s", s.ok("", "bearer", "policy", "list"))
	}
	changed := testPolicy + "\n# changed\n"
	s.write("policy.yaml", changed)
	s.eventually("the new revision is listed", shows(changed))
	s.write("policy.yaml", "version: none")
	s.eventually("the bad file is reported", func() bool {
		return regexp.MustCompile("policy file is bad").MatchString(s.output.String())
	})
	if !shows(changed)() {
		t.Errorf("with a bad file:\n%s", s.ok("", "bearer", "policy", "list"))
	}
}
