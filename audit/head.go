package audit

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Head is the end of the chain at some time: who has it can tell whether the
// trail up to there is still the same.
type Head struct {
	Store     string // identity of the store
	Last      int64  // sequence of the last row that is sealed
	At        time.Time
	Digest    store.Hash
	KeyID     string
	Signature []byte
}

// headVersion is that of the line.
const headVersion = 1

// maxHeadLine is the longest line that is read as a head, in bytes.
const maxHeadLine = 1024

// headLine is a head as sinks get it: one line of JSON.
type headLine struct {
	Version   int       `json:"v"`
	Store     string    `json:"store"`
	Last      int64     `json:"last"`
	At        time.Time `json:"at"`
	Digest    string    `json:"digest"` // hexadecimal
	Key       string    `json:"key"`
	Signature string    `json:"signature"` // base64
}

// headOf is the head that a seal is.
func headOf(identity string, s *store.AuditSeal) Head {
	return Head{identity, s.Last, s.At, s.Digest, s.KeyID, s.Signature}
}

// Line writes the head as one line of JSON, without the line's end.
func (h *Head) Line() string {
	text, err := json.Marshal(headLine{
		headVersion, h.Store, h.Last, h.At.UTC(), hex.EncodeToString(h.Digest[:]),
		h.KeyID, base64.StdEncoding.EncodeToString(h.Signature),
	})
	if err != nil {
		panic("audit: head: " + err.Error()) // strings, numbers and a time of our clock
	}
	return string(text)
}

// ParseHead reads what Line wrote. It does not verify the signature.
func ParseHead(line string) (Head, error) {
	if len(line) > maxHeadLine {
		return Head{}, fmt.Errorf("longer than %d bytes", maxHeadLine)
	}
	var in headLine
	if err := json.Unmarshal([]byte(line), &in, json.RejectUnknownMembers(true)); err != nil {
		return Head{}, fmt.Errorf("not the line of a head: %w", err)
	}
	if in.Version != headVersion {
		return Head{}, fmt.Errorf("version %d of a head; this program knows version %d", in.Version, headVersion)
	}
	digest, err := hex.DecodeString(in.Digest)
	if err != nil || len(digest) != len(store.Hash{}) {
		return Head{}, errors.New("digest: expected 64 hexadecimal digits")
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(in.Signature)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return Head{}, errors.New("signature: expected base64 of 64 bytes")
	}
	if in.Store == "" || in.Last < 1 || in.At.IsZero() || in.Key == "" {
		return Head{}, errors.New("store, last, at or key is missing")
	}
	return Head{in.Store, in.Last, in.At.UTC(), store.Hash(digest), in.Key, signature}, nil
}

// genuine reports whether the head was signed with one of the keys, and if not,
// why.
func (h *Head) genuine(keys Keys) (Problem, bool) {
	key, known := keys[h.KeyID]
	switch {
	case !known:
		return KeyUnknown, false
	case !ed25519.Verify(key, signed(h.Store, h.Last, h.At, h.Digest), h.Signature):
		return SignatureWrong, false
	}
	return "", true
}

// maxTelling bounds how many heads ReadHeads returns of one store.
const maxTelling = 32

// ReadHeads reads the file of a sink and returns what tells of each store: the
// newest head, and before it each one that is followed by a lower or another
// one. There the trail was set back, by a restored copy or by somebody who cut
// it. What is no head (the last line may have been cut short by a full disk, and
// a syslog file has other lines) is counted and passed over.
func ReadHeads(in io.Reader) (heads []Head, skipped int, err error) {
	before := map[string]Head{}
	lines := bufio.NewReaderSize(in, 64<<10)
	for {
		line, more, err := readHeadLine(lines)
		if err != nil {
			return nil, 0, err
		}
		if line != "" {
			// Syslog puts words of its own before the message.
			start := strings.Index(line, `{"v":`)
			head, err := ParseHead(line[max(start, 0):])
			switch last, seen := before[head.Store]; {
			case err != nil:
				skipped++
			default:
				if seen && (head.Last < last.Last || head.Last == last.Last && head.Digest != last.Digest) && len(heads) < maxTelling {
					heads = append(heads, last)
				}
				before[head.Store] = head
			}
		}
		if !more {
			break
		}
	}
	for _, last := range before {
		heads = append(heads, last)
	}
	return heads, skipped, nil
}

// readHeadLine reads one line. One that is too long for a head is cut, so that
// it is none.
func readHeadLine(in *bufio.Reader) (line string, more bool, err error) {
	var b strings.Builder
	for {
		part, err := in.ReadSlice('\n')
		if room := 4*maxHeadLine - b.Len(); room > 0 {
			b.Write(part[:min(room, len(part))])
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return strings.TrimSpace(b.String()), false, nil
		case err != nil:
			return "", false, err
		}
		return strings.TrimSpace(b.String()), true, nil
	}
}
