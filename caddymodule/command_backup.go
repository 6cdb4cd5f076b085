package caddymodule

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/caddy-bearer/caddy-bearer/internal/durable"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
)

func backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copies the database of a running server into a file",
		Long: `Copies the database of a running server into a file, while everybody goes on. The
copy is of one instant, and has all that was answered before the command began.
It is checked before it gets its name, and only its owner may read it.

The root key is not in it, and without that key it opens nothing: keep a copy of
the key elsewhere. Neither is the revocation journal. A copy knows nothing of
what is revoked after it was made; "caddy bearer restore" makes up for that.`,
		Example: "  caddy bearer backup /backup/bearer.db\n" +
			"  caddy bearer backup /backup/bearer.db --force --json",
		Args:              takes("FILE"),
		ValidArgsFunction: completeFile,
	}
	force := cmd.Flags().Bool("force", false, "replace the file if it exists")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		info, err := c.backup(args[0], *force)
		if err != nil {
			return err
		}
		if wantsJSON(cmd) {
			return encodeJSON(cmd.OutOrStdout(), info)
		}
		t := newTable(cmd.OutOrStdout())
		t.field("file", args[0])
		printInfo(t, info)
		return t.out.Flush()
	})
	return forWholeServer(cmd)
}

func printInfo(t *table, info *sqlite.Info) {
	t.field("bytes", info.Size)
	t.field("store", info.Identity)
	t.field("generation", info.Generation)
	t.field("last audit", info.LastAudit)
	t.field("made at", info.Backup)
}

// backup has the server make a copy, checks it and gives it its name. What went
// wrong half-way leaves nothing behind.
func (c *adminClient) backup(path string, force bool) (*sqlite.Info, error) {
	if _, err := os.Lstat(path); err == nil && !force {
		return nil, fmt.Errorf("%s exists; choose another name, or replace it with --force", path)
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".bearer-backup-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(draft.Name()) }() // it has another name by then, or is no good
	err = c.fetchBackup(draft)
	if err == nil {
		err = draft.Sync()
	}
	if err = errors.Join(err, draft.Close()); err != nil {
		return nil, err
	}
	info, err := sqlite.Inspect(c.cmd.Context(), draft.Name())
	if err != nil {
		return nil, fmt.Errorf("the copy that the server sent is no good: %w", err)
	}
	if force {
		err = os.Rename(draft.Name(), path)
	} else {
		err = os.Link(draft.Name(), path) // unlike a rename, it fails if the name is taken
	}
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists by now; choose another name, or replace it with --force", path)
	}
	if err != nil {
		return nil, err
	}
	return &info, durable.SyncFolder(filepath.Dir(path))
}

// fetchBackup writes what the server sends, all of it.
func (c *adminClient) fetchBackup(to io.Writer) error {
	c.http.Timeout = 0 // as long as a large database takes
	response, err := c.send("POST", "/backup", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("reading the server's answer: %w", err)
		}
		return c.refusal(response, body)
	}
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(to, sum), response.Body)
	if err != nil {
		return fmt.Errorf("the copy broke off after %d of %d bytes: %w", size, response.ContentLength, err)
	}
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum.Sum(nil)) + ":"
	if sent := response.Header.Get("Content-Digest"); sent != digest || size != response.ContentLength {
		return fmt.Errorf("the copy arrived damaged: %d of %d bytes, digest %s instead of %s", size, response.ContentLength, digest, sent)
	}
	return nil
}
