package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
)

// backuper is a store that can copy itself into a file. A database server has
// tools of its own for that, so it is no part of store.Store.
type backuper interface {
	Backup(ctx context.Context, at time.Time) (path string, err error)
}

// makeBackup answers with a copy of the database, of one instant, while
// everybody goes on. One at a time: each needs as much room as the database.
func makeBackup(c *adminCall) (any, error) {
	st, able := c.store().(backuper)
	if !able {
		return nil, refuse(http.StatusNotImplemented, "this store cannot be copied into a file; use its own tools")
	}
	rt := c.app.runtime
	if !rt.copying.TryLock() {
		return nil, refuse(http.StatusConflict, "another backup is under way")
	}
	now := time.Now().UTC()
	err := c.store().Update(c.request.Context(), func(tx store.Writer) error {
		identity, err := tx.Meta("identity")
		if err != nil {
			return err
		}
		for _, env := range sortedKeys(c.app.Environments) {
			event := c.event("store.backup", "store:"+identity)
			event.Environment, event.At = env, now
			if err := tx.Record(event); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = rt.journal.Load().Raise(c.request.Context())
	}
	var path string
	if err == nil {
		path, err = st.Backup(c.request.Context(), now)
	}
	if err != nil {
		rt.copying.Unlock()
		if errors.Is(err, sqlite.ErrNoRoom) {
			return nil, refuse(http.StatusInsufficientStorage, "%v", err)
		}
		return nil, err
	}
	return &answerFile{path: path, gone: func(err error) {
		rt.copying.Unlock()
		if err != nil {
			rt.log.Load().Error("a backup is left where it was made; remove it", zap.String("file", path), zap.Error(err))
		}
	}}, nil
}

// answerFile is an answer that is a file, which goes away with it.
type answerFile struct {
	path string
	gone func(error) // told when the file was removed, or why not
}

// send sends the file with its digest (RFC 9530 §2), by which the caller knows
// that it got all of it.
func (f *answerFile) send(w http.ResponseWriter) error {
	defer func() { f.gone(os.Remove(f.path)) }()
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/vnd.sqlite3")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.Header().Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum.Sum(nil))+":")
	w.WriteHeader(http.StatusOK)
	_, _ = io.Copy(w, file) // who hung up is not told so
	return nil
}
