package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxFileSize bounds what a file can cost before anything is known of it, in
// bytes. Load refuses a larger one.
const MaxFileSize = 8 << 20

// reader turns YAML nodes into values. It reads on after an error, so that one
// run reports everything.
type reader struct{ reporter }

func positionOf(n *yaml.Node) position { return position{n.Line, n.Column} }

// parse returns the root of the one document in src, or nil if src can't be
// read at all.
func (r *reader) parse(src []byte) *yaml.Node {
	if !r.checkBytes(src) {
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		r.errorf(position{1, 1}, "syntax", "the file is empty")
		return nil
	} else if err != nil {
		r.syntaxError(src, err)
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		r.errorf(positionOf(&second), "syntax", "a second document; a file has only one")
		return nil
	} else if !errors.Is(err, io.EOF) {
		r.syntaxError(src, err)
		return nil
	}
	root := document.Content[0]
	if !r.checkPlain(root) {
		return nil
	}
	return root
}

func (r *reader) checkBytes(src []byte) bool {
	if len(src) > MaxFileSize {
		r.errorf(position{1, 1}, "syntax", "the file has %d bytes; at most %d are read", len(src), MaxFileSize)
		return false
	}
	for i := 0; i < len(src); {
		c, size := utf8.DecodeRune(src[i:])
		if c == utf8.RuneError && size == 1 {
			r.errorf(positionAt(src, i), "syntax", "byte 0x%02x is not UTF-8", src[i])
			return false
		}
		if c == 0 {
			r.errorf(positionAt(src, i), "syntax", "a NUL byte")
			return false
		}
		i += size
	}
	return true
}

// positionAt finds the place of a byte; columns count characters.
func positionAt(src []byte, offset int) position {
	before := src[:offset]
	line := before[bytes.LastIndexByte(before, '\n')+1:]
	return position{bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(line) + 1}
}

// A YAML error carries a line, unless it is the first, and no column.
var yamlError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

func (r *reader) syntaxError(src []byte, err error) {
	at, message := position{1, 1}, err.Error()
	if parts := yamlError.FindStringSubmatch(message); parts != nil {
		message = parts[2]
		line, _ := strconv.Atoi(parts[1])
		if strings.HasPrefix(message, "did not find") {
			line++ // these count from 0
		}
		at.line = max(1, min(line, bytes.Count(src, []byte{'\n'})+1))
	}
	r.errorf(at, "syntax", "not valid YAML: %s", message)
}

// checkPlain refuses everything by which a file means something other than
// what it shows at that place.
func (r *reader) checkPlain(n *yaml.Node) bool {
	ok := true
	refuse := func(what string) {
		r.errorf(positionOf(n), "syntax", "%s; a policy spells everything out", what)
		ok = false
	}
	switch {
	case n.Kind == yaml.AliasNode:
		refuse(fmt.Sprintf("alias *%s", n.Value))
		return false
	case n.Anchor != "":
		refuse(fmt.Sprintf("anchor &%s", n.Anchor))
	case n.ShortTag() == "!!merge":
		refuse("merge key <<")
	case n.Style&yaml.TaggedStyle != 0:
		refuse("tag " + n.Tag)
	}
	for _, child := range n.Content {
		ok = r.checkPlain(child) && ok
	}
	return ok
}

// describe says what a node is, in words for a message.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!str":
		return fmt.Sprintf("the string %q", n.Value)
	case "!!bool":
		return "the boolean " + n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!timestamp":
		return "the date " + n.Value
	}
	return n.Value
}

func (r *reader) wrongType(n *yaml.Node, what, want string) {
	hint := ""
	if tag := n.ShortTag(); want == "a string" && n.Kind == yaml.ScalarNode && tag != "!!null" {
		hint = fmt.Sprintf("; quote it: %q", n.Value)
	}
	r.errorf(positionOf(n), "wrong-type", "%s: found %s, expected %s%s", what, describe(n), want, hint)
}

// entry is one key of a mapping and its value.
type entry struct {
	key   name
	value *yaml.Node
}

// entries returns a mapping's entries in file order, each key once.
func (r *reader) entries(n *yaml.Node, what string) []entry {
	if n.Kind != yaml.MappingNode {
		r.wrongType(n, what, "a mapping")
		return nil
	}
	var entries []entry
	lines := make(map[string]int)
	for i := 0; i < len(n.Content); i += 2 {
		key, ok := r.name(n.Content[i], "a key of "+what)
		if !ok {
			continue
		}
		if line, twice := lines[key.text]; twice {
			r.errorf(key.at, "duplicate-key", "%q stands twice in %s (first on line %d)", key.text, what, line)
			continue
		}
		lines[key.text] = key.at.line
		entries = append(entries, entry{key, n.Content[i+1]})
	}
	return entries
}

// object is a mapping with a fixed set of keys.
type object struct {
	at     position
	what   string
	values map[string]*yaml.Node
}

// object reads a mapping that may only have the known keys.
func (r *reader) object(n *yaml.Node, what string, known ...string) (object, bool) {
	if n.Kind != yaml.MappingNode {
		r.wrongType(n, what, "a mapping with "+list(known))
		return object{}, false
	}
	o := object{at: positionOf(n), what: what, values: make(map[string]*yaml.Node)}
	for _, e := range r.entries(n, what) {
		if !slices.Contains(known, e.key.text) {
			r.errorf(e.key.at, "unknown-key", "unknown key %q in %s%s (known: %s)",
				e.key.text, what, didYouMean(e.key.text, known), list(known))
			continue
		}
		o.values[e.key.text] = e.value
	}
	return o, true
}

// required returns the value of a key that must be there, or nil.
func (r *reader) required(o object, key string) *yaml.Node {
	n := o.values[key]
	if n == nil {
		r.errorf(o.at, "missing-key", "%s needs %q", o.what, key)
	}
	return n
}

// name reads a string, which stays together with its place.
func (r *reader) name(n *yaml.Node, what string) (name, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.wrongType(n, what, "a string")
		return name{}, false
	}
	return name{n.Value, positionOf(n)}, true
}

// names reads a list of strings. It reports false if the node is no list or one
// of its items no string.
func (r *reader) names(n *yaml.Node, what string) ([]name, bool) {
	if n.Kind != yaml.SequenceNode {
		r.wrongType(n, what, "a list of strings")
		return nil, false
	}
	names, ok := make([]name, 0, len(n.Content)), true
	for _, item := range n.Content {
		read, isString := r.name(item, what)
		names, ok = append(names, read), ok && isString
	}
	return names, ok
}

// someNames reads a list of strings in which each stands once, and at least one.
func (r *reader) someNames(n *yaml.Node, what string) ([]name, bool) {
	names, ok := r.names(n, what)
	if ok && len(names) == 0 {
		r.errorf(positionOf(n), "empty-list", "%s: an empty list", what)
		return nil, false
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if ok && seen[name.text] {
			r.errorf(name.at, "duplicate-value", "%s: %q stands twice", what, name.text)
		}
		seen[name.text] = true
	}
	return names, ok
}

func (r *reader) boolean(n *yaml.Node, what string) (value, ok bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		r.wrongType(n, what, "true or false")
		return false, false
	}
	return strings.EqualFold(n.Value, "true"), true
}

// word reads a string that is one of choices, and returns which.
func (r *reader) word(n *yaml.Node, what string, choices []string) (int, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.wrongType(n, what, "one of "+list(choices))
		return 0, false
	}
	i := slices.Index(choices, n.Value)
	if i < 0 {
		r.errorf(positionOf(n), "bad-value", "%s: unknown value %q%s (known: %s)",
			what, n.Value, didYouMean(n.Value, choices), list(choices))
	}
	return i, i >= 0
}

func list(words []string) string { return strings.Join(words, ", ") }
