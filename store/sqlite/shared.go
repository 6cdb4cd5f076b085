package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// maxShared bounds how many grants are remembered for others to share.
const maxShared = 10_000

// shared are the living grants that were made to be shared (store.Issue.Share).
// Like parties it is the committer's alone: what is revoked or collected leaves
// it, and what is rolled back empties it. It may lack a grant, which costs a new
// one, but never has one that is not in the database. A change of its parties
// changes nothing of a grant: whether it still stands is asked at each call.
type shared struct {
	grants map[likeness]sharedGrant
	of     map[party]likeness // by the grant's id
	made   int                // how many were ever remembered
}

// likeness is what calls have in common that share a grant. It is a hash, so that
// an entry is small however long the lists are.
type likeness [sha256.Size]byte

// sharedGrant is what a call doesn't say of the grant that it shares.
type sharedGrant struct {
	id               string
	epoch            int64
	created, expires time.Time
}

// likenessOf writes the length of all its parts before them, so that none can
// run into the next.
func likenessOf(g *store.Grant) likeness {
	text := make([]byte, 0, 512)
	for _, list := range [][]string{{string(g.Environment), g.Principal, g.Client}, g.Scopes, g.Accounts} {
		text = binary.AppendUvarint(text, uint64(len(list)))
		for _, part := range list {
			text = append(binary.AppendUvarint(text, uint64(len(part))), part...)
		}
	}
	return sha256.Sum256(text)
}

func (s *shared) remember(like likeness, g *store.Grant) {
	if s.grants == nil || len(s.grants) >= maxShared {
		s.grants, s.of = make(map[likeness]sharedGrant), make(map[party]likeness)
	}
	if before, ok := s.grants[like]; ok {
		delete(s.of, party{g.Environment, before.id})
	}
	s.grants[like] = sharedGrant{id: g.ID, epoch: g.Epoch, created: g.Created, expires: g.Expires}
	s.of[party{g.Environment, g.ID}] = like
	s.made++
}

// drop forgets a grant.
func (s *shared) drop(env store.Environment, id string) {
	who := party{env, id}
	if like, ok := s.of[who]; ok {
		delete(s.grants, like)
		delete(s.of, who)
	}
}

func (s *shared) forget() {
	clear(s.grants)
	clear(s.of)
}

// checkShare refuses what could not be shared.
func checkShare(req *store.Issue) error {
	switch {
	case req.Share == 0:
		return nil
	case req.Share < 0:
		return fmt.Errorf("sqlite: a grant to be shared for %s", req.Share)
	case req.Code != nil || req.Connection != nil || len(req.Tokens) > 0:
		return errors.New("sqlite: a grant with a code, a connection or tokens of its own can't be shared")
	case req.Grant.Expires.IsZero():
		return errors.New("sqlite: a grant to be shared needs an end")
	}
	return nil
}

// share finds a grant that stands for the new one, or makes one for others to
// find. It is remembered last, when nothing of this job can fail any more.
func (t *tx) share(req *store.Issue) (store.Standing, error) {
	like := likenessOf(&req.Grant)
	st, found, err := t.sharedStanding(like, &req.Grant)
	if err == nil && !found {
		req.Grant.Expires = req.Grant.Expires.Add(req.Share)
		st, err = t.newGrant(req)
	}
	if err == nil {
		err = t.recordIssue(req, &st)
	}
	if err != nil {
		return store.Standing{}, err
	}
	if !found {
		t.shared.remember(like, &st.Grant)
	}
	return st, nil
}

// sharedStanding reads what a remembered grant stands on now, if it may stand for
// the one that is asked for.
func (t *tx) sharedStanding(like likeness, asked *store.Grant) (store.Standing, bool, error) {
	known, ok := t.shared.grants[like]
	if !ok || known.expires.Before(asked.Expires) {
		return store.Standing{}, false, nil
	}
	grant := filed(asked)
	grant.ID, grant.Epoch, grant.Created, grant.Expires = known.id, known.epoch, known.created, known.expires
	grant.Accounts = asked.Accounts
	st, err := t.parties.standing(like, func() (store.Standing, error) { return t.newStanding(&grant) })
	if err != nil {
		return store.Standing{}, false, err
	}
	grant.Accounts = st.Grant.Accounts
	st.Grant = grant
	return st, !st.Dead(), nil
}
