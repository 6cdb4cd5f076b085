package pages

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"strings"
)

//go:embed style.css
var styleSheet []byte

//go:embed portal.js
var portalScript []byte

// File is what a page needs beside itself.
type File struct {
	ContentType string
	Body        []byte

	name string // changes with the file, so that browsers may keep it for ever
}

var (
	style  = newFile("style.css", "text/css; charset=utf-8", styleSheet)
	script = newFile("portal.js", "text/javascript; charset=utf-8", portalScript)
)

func newFile(name, contentType string, body []byte) File {
	sum := sha256.Sum256(body)
	stem, extension, _ := strings.Cut(name, ".")
	return File{ContentType: contentType, Body: body, name: stem + "-" + hex.EncodeToString(sum[:6]) + "." + extension}
}

// Asset returns a file by its name.
func Asset(name string) (File, bool) {
	for _, file := range []File{style, script, handBackScript} {
		if file.name == name {
			return file, true
		}
	}
	return File{}, false
}
