//go:build linux

package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The plot's measures, in pixels.
const (
	plotWidth = 860
	labels    = 360 // for names, on the left
	rowHeight = 26
	topMargin = 46
)

// plot draws the ratios to the floor as bars, with whiskers from the least to the
// most of the rounds. The line at 1 is the floor.
func plot(lines []line) string {
	most := 1.0
	for i := range lines {
		most = math.Max(most, lines[i].Ratio.Most)
	}
	x := func(ratio float64) float64 { return labels + ratio/most*(plotWidth-labels-70) }
	height := topMargin + rowHeight*len(lines) + 16
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" role="img" aria-labelledby="title">`+"\n",
		plotWidth, height)
	b.WriteString(`<title id="title">Requests per second to those of stock Caddy without authentication</title>` + "\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<text x="%d" y="22" font-size="15" fill="#222">Requests per second; stock Caddy without authentication = 1</text>`+"\n", 16)
	for i := range lines {
		row(&b, &lines[i], float64(topMargin+rowHeight*i), x)
	}
	fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#222" stroke-dasharray="4 3"/>`+"\n", x(1), x(1), topMargin-8, height-10)
	b.WriteString("</svg>\n")
	return b.String()
}

// row draws one line: name, bar, whisker, figure.
func row(b *strings.Builder, l *line, top float64, x func(float64) float64) {
	color := "#9aa5b1"
	if strings.HasPrefix(l.Name, "**") {
		color = "#1f6feb"
	}
	middle := top + rowHeight/2
	fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end" fill="#222">%s</text>`+"\n", labels-10, middle+4.5,
		html.EscapeString(strings.NewReplacer("**", "", "`", "").Replace(l.Name)))
	fmt.Fprintf(b, `<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>`+"\n", labels, top+4, x(l.Ratio.Median)-labels, rowHeight-8, color)
	fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#222" stroke-width="1.5"/>`+"\n", x(l.Ratio.Least), x(l.Ratio.Most), middle, middle)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="#222">%.2f</text>`+"\n", x(l.Ratio.Most)+8, middle+4.5, l.Ratio.Median)
}
