package caddymodule

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// ask performs an operation on what the segments name and prints the answer:
// as the server gave it for --json, otherwise as human writes it.
func ask[A any](c *adminClient, method string, segments []string, query string, in any, human func(*table, *A)) error {
	path, err := c.path(segments...)
	if err != nil {
		return err
	}
	if query != "" {
		path += "?" + query
	}
	return askAt(c, method, path, in, human)
}

// askAt is ask for a path that need not be an environment's.
func askAt[A any](c *adminClient, method, path string, in any, human func(*table, *A)) error {
	var answer A
	body, err := c.call(method, path, in, &answer)
	if err != nil {
		return err
	}
	if c.flag("json") == "true" {
		return printJSON(c.cmd.OutOrStdout(), body)
	}
	t := newTable(c.cmd.OutOrStdout())
	human(t, &answer)
	return t.out.Flush()
}

func printJSON(w io.Writer, value jsontext.Value) error {
	if err := value.Indent(jsontext.WithIndent("  ")); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s\n", strings.TrimSpace(string(value)))
	return err
}

// table writes aligned columns.
type table struct{ out *tabwriter.Writer }

func newTable(w io.Writer) *table {
	return &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

func (t *table) row(cells ...any) {
	line := make([]string, len(cells))
	for i, cell := range cells {
		line[i] = cellText(cell)
	}
	fmt.Fprintln(t.out, strings.TrimRight(strings.Join(line, "\t"), "\t "))
}

// blank separates what is shown alone from a list below it.
func (t *table) blank() { fmt.Fprintln(t.out) }

// field is a row of what is shown alone. An empty one is left out.
func (t *table) field(name string, value any) {
	if text := cellText(value); text != "-" {
		t.row(name, text)
	}
}

// cellText is how a value looks to people. Control characters could make a
// terminal show something else than what is there.
func cellText(cell any) string {
	text := ""
	switch cell := cell.(type) {
	case time.Time:
		if !cell.IsZero() {
			text = cell.UTC().Format(time.RFC3339)
		}
	case []string:
		text = strings.Join(cell, " ")
	case int64:
		if cell != 0 {
			text = strconv.FormatInt(cell, 10)
		}
	default:
		text = fmt.Sprint(cell)
	}
	if text == "" {
		return "-"
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return unicode.ReplacementChar
	}, text)
}
