package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-bearer/caddy-bearer/internal/durable"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// format is the version of the file's format, in its first line.
const format = 1

// Note says that a record was changed by an operator: which one, not how.
type Note struct {
	Environment store.Environment
	Action      string // as in the audit trail: client.disable
	Target      string // as in the audit trail: client:trading-bot
	At          time.Time
	Generation  int64 // of the store when it was done
}

// Content is what a journal holds.
type Content struct {
	Store       string    // name of the store that it belongs to, see Name
	Generation  int64     // the latest
	At          time.Time // when the latest generation began
	Revocations []store.Revocation
	Notes       []Note
}

// line is one line of the file.
type line struct {
	Journal     int               `json:"journal,omitzero"`
	Store       string            `json:"store,omitzero"`
	Generation  int64             `json:"generation,omitzero"`
	Environment store.Environment `json:"environment,omitzero"`
	Kind        store.Kind        `json:"kind,omitzero"`
	Action      string            `json:"action,omitzero"`
	Target      string            `json:"target,omitzero"`
	Number      int64             `json:"number,omitzero"`
	At          time.Time         `json:"at,omitzero"`
	Expires     time.Time         `json:"expires,omitzero"`
	Reason      string            `json:"reason,omitzero"`
}

func revocationLine(rev *store.Revocation) line {
	return line{
		Environment: rev.Environment, Kind: rev.Kind, Target: rev.Target,
		Number: rev.Number, At: rev.At, Expires: rev.Expires, Reason: rev.Reason,
	}
}

func noteLine(n *Note) line {
	return line{Environment: n.Environment, Action: n.Action, Target: n.Target, At: n.At, Generation: n.Generation}
}

// lines are the content as it is written anew.
func (c *Content) lines() []line {
	all := []line{{Journal: format, Store: c.Store, Generation: c.Generation, At: c.At}}
	for i := range c.Notes {
		all = append(all, noteLine(&c.Notes[i]))
	}
	for i := range c.Revocations {
		all = append(all, revocationLine(&c.Revocations[i]))
	}
	return all
}

// take adds a line that was read.
func (c *Content) take(l *line, first bool) error {
	switch {
	case first && l.Journal == format && l.Store != "" && l.Generation > 0:
		c.Store = l.Store
		c.Generation, c.At = l.Generation, l.At
	case first && l.Journal > format:
		return fmt.Errorf("the format is version %d and this program knows version %d: use the newer program", l.Journal, format)
	case first:
		return errors.New("this is not the first line of a revocation journal")
	case l.Kind != "" && l.Target != "" && l.Environment != "":
		c.Revocations = append(c.Revocations, store.Revocation{
			Environment: l.Environment, Kind: l.Kind, Target: l.Target,
			Number: l.Number, At: l.At, Expires: l.Expires, Reason: l.Reason,
		})
	case l.Action != "" && l.Environment != "":
		c.Notes = append(c.Notes, Note{l.Environment, l.Action, l.Target, l.At, l.Generation})
	case l.Generation > c.Generation:
		c.Generation, c.At = l.Generation, l.At
	default:
		return errors.New("it is neither a revocation nor a note nor a generation")
	}
	return nil
}

// The checksum stands at the end of each line: ,"sum":"01234567"}
const (
	sumBefore = `,"sum":"`
	sumAfter  = "\"}"
	sumLength = len(sumBefore) + 8 + len(sumAfter)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chain is the checksum of the lines up to the latest.
type chain uint32

func (c *chain) add(text []byte) [4]byte {
	*c = chain(crc32.Update(uint32(*c), castagnoli, text))
	return [4]byte{byte(*c >> 24), byte(*c >> 16), byte(*c >> 8), byte(*c)}
}

// encode appends lines as the file has them.
func (c *chain) encode(to []byte, lines []line) ([]byte, error) {
	for i := range lines {
		// A name that is no UTF-8 must not keep a revocation out of the file.
		text, err := json.Marshal(&lines[i], jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return nil, err
		}
		sum := c.add(text)
		to = append(to, text[:len(text)-1]...)
		to = append(to, sumBefore...)
		to = hex.AppendEncode(to, sum[:])
		to = append(to, sumAfter...)
		to = append(to, '\n')
	}
	return to, nil
}

// decode reads one line, without its end.
func (c *chain) decode(text []byte) (*line, error) {
	cut := len(text) - sumLength
	if cut < 1 || !bytes.HasPrefix(text[cut:], []byte(sumBefore)) || !bytes.HasSuffix(text, []byte(sumAfter)) {
		return nil, errors.New("it has no checksum")
	}
	sum := c.add(append(bytes.Clone(text[:cut]), '}'))
	if hex.EncodeToString(sum[:]) != string(text[cut+len(sumBefore):len(text)-len(sumAfter)]) {
		return nil, errors.New("its checksum is wrong: it was changed, or a line before it was left out or put in")
	}
	l := new(line)
	body := append(bytes.Clone(text[:cut]), '}')
	if err := json.Unmarshal(body, l, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	return l, nil
}

// Read reads a journal. Half a line at its end is left out. An error names the
// file and the line; os.ErrNotExist: there is no such file.
func Read(path string) (*Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("revocation journal: %w", err)
	}
	defer f.Close()
	if err := checkPrivate(f); err != nil {
		return nil, fmt.Errorf("revocation journal %s %w", path, err)
	}
	content, number, err := parse(f)
	if err != nil {
		return nil, fmt.Errorf("revocation journal %s:%d: %w", path, number, err)
	}
	return content, nil
}

func parse(from io.Reader) (*Content, int, error) {
	content, sum, in := new(Content), chain(0), bufio.NewReaderSize(from, 64<<10)
	for number := 1; ; number++ {
		text, err := in.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && content.Store == "":
			return nil, number, fmt.Errorf("%w: it is empty or ends in its first line", ErrDamaged)
		case errors.Is(err, io.EOF):
			return content, number, nil
		case err != nil:
			return nil, number, err
		}
		l, err := sum.decode(text[:len(text)-1])
		if err == nil {
			err = content.take(l, number == 1)
		}
		if err != nil {
			return nil, number, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
}

// checkPrivate refuses a file that others may touch: whoever can write it can
// bring tokens back to life. Windows has no such bits.
func checkPrivate(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("is not a regular file")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("has mode %04o and is open to others; run: chmod 600 %s", mode, f.Name())
	}
	return nil
}

// Create writes a journal in the place of what is at path: whole, or not at all.
func Create(path string, c *Content) error {
	w, err := create(path, c)
	if err != nil {
		return err
	}
	if err = w.install(path); err != nil {
		return err
	}
	return w.file.Close()
}

// draft is a journal that is being written anew beside the one that it replaces.
type draft struct {
	file *os.File
	sum  chain
	size int64
}

func create(path string, c *Content) (*draft, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("revocation journal: %w", err)
	}
	name := path + ".new"
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("revocation journal: %w", err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("revocation journal: %w", err)
	}
	d := &draft{file: f}
	if err := cmp.Or(f.Chmod(0o600), d.write(c.lines())); err != nil {
		return nil, d.discard(err)
	}
	return d, nil
}

// write appends lines in one piece.
func (d *draft) write(lines []line) error {
	text, err := d.sum.encode(nil, lines)
	if err != nil {
		return err
	}
	n, err := d.file.Write(text)
	d.size += int64(n)
	return err
}

// install brings the draft to the disk and puts it in place.
func (d *draft) install(path string) error {
	err := d.file.Sync()
	if err == nil {
		err = os.Rename(d.file.Name(), path)
	}
	if err != nil {
		return d.discard(err)
	}
	if err := durable.SyncFolder(filepath.Dir(path)); err != nil {
		return errors.Join(fmt.Errorf("revocation journal: %w", err), d.file.Close())
	}
	return nil
}

func (d *draft) discard(cause error) error {
	_, _ = d.file.Close(), os.Remove(d.file.Name()) // the cause says more
	return fmt.Errorf("revocation journal: %w", cause)
}
