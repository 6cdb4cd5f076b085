package caddymodule

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

// policyPoll is how often the files of policies are looked at. Polling sees
// what notifications miss: swapped ConfigMap links and atomic renames.
const policyPoll = time.Second

// loadedPolicy is a compiled policy with the state of the file that it is of.
type loadedPolicy struct {
	policy *policy.Policy
	path   string
	stamp  fileStamp
	sum    [sha256.Size]byte
}

// fileStamp is what a stat tells of a change.
type fileStamp struct {
	modified time.Time
	size     int64
	inode    os.FileInfo
}

func (s fileStamp) same(info os.FileInfo) bool {
	return s.inode != nil && s.modified.Equal(info.ModTime()) && s.size == info.Size() && os.SameFile(s.inode, info)
}

func loadPolicyFile(path string) (*loadedPolicy, error) {
	loaded, src, err := readPolicyFile(path)
	if err != nil {
		return nil, err
	}
	if loaded.policy, err = policy.Load(path, src); err != nil {
		return nil, err
	}
	return loaded, nil
}

func readPolicyFile(path string) (*loadedPolicy, []byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	src, err := io.ReadAll(io.LimitReader(file, policy.MaxFileSize+1))
	if err != nil {
		return nil, nil, err
	}
	stamp := fileStamp{modified: info.ModTime(), size: info.Size(), inode: info}
	return &loadedPolicy{path: path, stamp: stamp, sum: sha256.Sum256(src)}, src, nil
}

// policySlot holds the present revision of a named policy.
type policySlot struct {
	present atomic.Pointer[loadedPolicy]
	// refused is the cause of the last refusal, so that each is reported once.
	// Zero: the file is good.
	refused [sha256.Size]byte
	why     error        // of that refusal
	since   atomic.Int64 // when the present revision was taken over, in Unix nanoseconds
}

// put makes a revision the present one.
func (s *policySlot) put(next *loadedPolicy) {
	if before := s.present.Swap(next); before == nil || next == nil || before.sum != next.sum {
		s.since.Store(time.Now().UnixNano())
	}
}

// bad reports whether the file holds what was refused.
func (s *policySlot) bad() bool { return s.refused != [sha256.Size]byte{} }

// get returns the present revision, nil if the name was removed.
func (s *policySlot) get() *policy.Policy {
	if loaded := s.present.Load(); loaded != nil {
		return loaded.policy
	}
	return nil
}

// policies are the slots by name. A slot lives as long as the runtime, so that
// handlers of any configuration can hold on to it.
type policies struct {
	mu     sync.Mutex
	slots  map[string]*policySlot
	routes map[string]*routeSlot // those of gates' blocks, by key

	// rejected is told of files that are bad, each once. Nil: nobody is.
	rejected func(name string, present *loadedPolicy, err error)
}

// slot returns the slot of a name, which may be empty.
func (p *policies) slot(name string) *policySlot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.locked(name)
}

func (p *policies) locked(name string) *policySlot {
	slot := p.slots[name]
	if slot == nil {
		slot = new(policySlot)
		p.slots[name] = slot
	}
	return slot
}

// add takes over what a configuration loaded.
func (p *policies) add(loaded map[string]*loadedPolicy, routes map[string]*gateRoutes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, policy := range loaded {
		p.locked(name).put(policy)
	}
	for key, compiled := range routes {
		p.lockedRoutes(key).present.Store(compiled)
	}
}

// present puts what the slots hold in the place of what was loaded into them.
func (p *policies) present(loaded map[string]*loadedPolicy, routes map[string]*gateRoutes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range loaded {
		loaded[name] = p.locked(name).present.Load()
	}
	for key := range routes {
		routes[key] = p.lockedRoutes(key).present.Load()
	}
}

// keepOnly empties the slots of what a configuration does not have: who rides on
// them is cut by the next sweep.
func (p *policies) keepOnly(loaded map[string]*loadedPolicy, routes map[string]*gateRoutes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, slot := range p.slots {
		if loaded[name] == nil {
			slot.put(nil)
		}
	}
	for key, slot := range p.routes {
		if routes[key] == nil {
			slot.present.Store(nil)
		}
	}
}

// refresh looks at every file and takes over those that changed for the good.
// It reports whether any did.
func (p *policies) refresh(log *zap.Logger) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range sortedKeys(p.slots) {
		slot := p.slots[name]
		present := slot.present.Load()
		if present == nil {
			continue
		}
		wasBad := slot.bad()
		next, err := slot.reload(present)
		switch {
		case err != nil:
			log.Error("policy file is bad; the policy before it keeps serving",
				zap.String("policy", name), zap.String("file", present.path),
				zap.String("revision", present.policy.Revision()), zap.Error(err))
			if p.rejected != nil {
				p.rejected(name, present, err)
			}
		case next == nil && wasBad && !slot.bad():
			log.Info("policy file is good again and says what is served", zap.String("policy", name), zap.String("file", present.path))
		case next != nil:
			slot.put(next)
			changed = true
			log.Info("policy changed", zap.String("policy", name), zap.String("file", next.path),
				zap.String("from", present.policy.Revision()), zap.String("to", next.policy.Revision()))
		}
	}
	return p.recompile(log) || changed
}

// reload returns the policy that the file holds now, or nil if it holds what is
// present or what was refused before.
func (s *policySlot) reload(present *loadedPolicy) (*loadedPolicy, error) {
	info, err := os.Stat(present.path)
	if err != nil {
		return nil, s.refuse(sha256.Sum256([]byte(err.Error())), err)
	}
	if present.stamp.same(info) {
		s.refused = [sha256.Size]byte{}
		return nil, nil
	}
	next, src, err := readPolicyFile(present.path)
	if err != nil {
		return nil, s.refuse(sha256.Sum256([]byte(err.Error())), err)
	}
	if bytes.Equal(next.sum[:], present.sum[:]) {
		s.refused = [sha256.Size]byte{}
		return nil, nil
	}
	if next.policy, err = policy.Load(next.path, src); err != nil {
		return nil, s.refuse(next.sum, err)
	}
	s.refused = [sha256.Size]byte{}
	return next, nil
}

// refuse passes an error on the first time that its cause is seen.
func (s *policySlot) refuse(cause [sha256.Size]byte, err error) error {
	if s.refused == cause {
		return nil
	}
	s.refused, s.why = cause, err
	return err
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

var errRuntimeGone = errors.New("the runtime has ended")
