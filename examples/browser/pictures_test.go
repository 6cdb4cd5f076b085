package browser

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// screenshots is the variable that names the folder for pictures of what the tests
// see. Without it, none are taken.
const screenshots = "BEARER_SCREENSHOTS"

var updatePictures = flag.Bool("update-pictures", false, "make the pictures of docs/portal.md anew, from those in the folder of "+screenshots)

const (
	portalDocument = "../../docs/portal.md"
	documentImages = "../../docs/images"
	// maxImage is what a picture in the documents may weigh, in bytes.
	maxImage = 60_000
)

// picture takes a picture of the whole page that is open, two pixels for one.
func (b *tab) picture(file string) {
	b.t.Helper()
	folder := os.Getenv(screenshots)
	if folder == "" {
		return
	}
	taken := ask(b, chromedp.FullScreenshot(100))
	must(b.t, errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(filepath.Join(folder, file), taken, 0o600)))
}

// finishPictures is done after the tests: the folder gets a page with all pictures,
// and the documents theirs if that was asked for.
func finishPictures() error {
	folder := os.Getenv(screenshots)
	switch {
	case folder != "" && *updatePictures:
		return errors.Join(writeSheet(folder), updateDocument(folder))
	case folder != "":
		return writeSheet(folder)
	case *updatePictures:
		return errors.New("-update-pictures wants a folder of pictures in " + screenshots)
	}
	return nil
}

var sheet = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Pages</title>
<style>body { font: 1rem sans-serif } div { display: flex; gap: 1rem; align-items: start; overflow-x: auto } figure { margin: 0 } img { height: 24rem; border: 1px solid #999 }</style>
{{range .}}<h2>{{.Page}}</h2>
<div>{{range .Files}}<figure><a href="{{.}}"><img src="{{.}}" alt="" loading="lazy"></a><figcaption>{{.}}</figcaption></figure>
{{end}}</div>
{{end}}`))

// onSheet is a page with its pictures.
type onSheet struct {
	Page  string
	Files []string
}

var lookOfFile = regexp.MustCompile(`-(desktop|phone)-(light|dark)(-noscript)?\.png$`)

// writeSheet writes index.html, which shows all pictures of a folder, those of one
// page beside each other.
func writeSheet(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.png"))
	if err != nil {
		return err
	}
	byPage := map[string]*onSheet{}
	var pages []*onSheet
	for _, file := range files {
		name := filepath.Base(file)
		page := lookOfFile.ReplaceAllString(name, "")
		if byPage[page] == nil {
			byPage[page] = &onSheet{Page: page}
			pages = append(pages, byPage[page])
		}
		byPage[page].Files = append(byPage[page].Files, name)
	}
	slices.SortFunc(pages, func(a, b *onSheet) int { return cmp.Compare(a.Page, b.Page) })
	out, err := os.Create(filepath.Join(folder, "index.html"))
	if err != nil {
		return err
	}
	return errors.Join(sheet.Execute(out, pages), out.Close())
}

// imagesOfDocument are the names of the pictures that the tour of the portal shows. They are
// those of pictures that the tests take.
func imagesOfDocument() ([]string, error) {
	text, err := os.ReadFile(portalDocument)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, found := range regexp.MustCompile(`\(images/([a-z0-9-]+\.png)\)`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, found[1])
	}
	if len(names) == 0 {
		return nil, errors.New(portalDocument + " shows no picture")
	}
	return names, nil
}

// updateDocument makes the pictures of the document from those of a folder, and
// removes those that it doesn't show.
func updateDocument(folder string) error {
	names, err := imagesOfDocument()
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(documentImages), os.Mkdir(documentImages, 0o755)); err != nil {
		return err
	}
	for _, name := range names {
		if err := shrinkFile(filepath.Join(folder, name), filepath.Join(documentImages, name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// shrinkFile writes a picture with one pixel for four, in few colours.
func shrinkFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	large, err := png.Decode(in)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	return errors.Join(encoder.Encode(out, fewColours(half(large))), out.Close())
}

// half is the picture with one pixel for four, of their mean colour.
func half(large image.Image) *image.RGBA {
	size := large.Bounds().Size().Div(2)
	small := image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			var sum [3]uint32
			for _, at := range []image.Point{{2 * x, 2 * y}, {2*x + 1, 2 * y}, {2 * x, 2*y + 1}, {2*x + 1, 2*y + 1}} {
				r, g, b, _ := large.At(at.X, at.Y).RGBA()
				sum[0], sum[1], sum[2] = sum[0]+r, sum[1]+g, sum[2]+b
			}
			small.SetRGBA(x, y, color.RGBA{uint8(sum[0] >> 10), uint8(sum[1] >> 10), uint8(sum[2] >> 10), 255})
		}
	}
	return small
}

// fewColours is the picture in 256 colours: the commonest, and of the others one for
// those that are hardly told apart.
func fewColours(full *image.RGBA) *image.Paletted {
	counts := map[color.RGBA]int{}
	bounds := full.Bounds()
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			counts[full.RGBAAt(x, y)]++
		}
	}
	byCount := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int { return cmp.Compare(counts[b], counts[a]) })
	near := map[[3]uint8]bool{}
	var palette color.Palette
	for _, c := range byCount {
		if shade := [3]uint8{c.R >> 4, c.G >> 4, c.B >> 4}; len(palette) < 32 || len(palette) < 256 && !near[shade] {
			near[shade] = true
			palette = append(palette, c)
		}
	}
	index := map[color.RGBA]uint8{}
	for c := range counts {
		index[c] = uint8(palette.Index(c))
	}
	few := image.NewPaletted(bounds, palette)
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			few.SetColorIndex(x, y, index[full.RGBAAt(x, y)])
		}
	}
	return few
}

// The pictures that the tour shows are there, small, and no others are.
func TestPicturesOfTheTour(t *testing.T) {
	names, err := imagesOfDocument()
	must(t, err)
	for _, name := range names {
		file, err := os.Stat(filepath.Join(documentImages, name))
		switch {
		case err != nil:
			t.Errorf("%v; make it with: make pictures", err)
		case file.Size() > maxImage:
			t.Errorf("%s has %d bytes, more than %d", name, file.Size(), maxImage)
		}
	}
	there, err := filepath.Glob(documentImages + "/*.png")
	must(t, err)
	for _, file := range there {
		if !slices.Contains(names, filepath.Base(file)) {
			t.Errorf("%s is shown nowhere", file)
		}
	}
}

func TestSheetShowsEachPicture(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"home-phone-dark-noscript.png", "home-desktop-light.png", "sign-in-desktop-dark.png"} {
		must(t, os.WriteFile(filepath.Join(folder, name), nil, 0o600))
	}
	must(t, writeSheet(folder))
	page, err := os.ReadFile(filepath.Join(folder, "index.html"))
	must(t, err)
	var order []string
	for _, found := range regexp.MustCompile(`<h2>[^<]*|src="[^"]*`).FindAllString(string(page), -1) {
		order = append(order, strings.NewReplacer("<h2>", "", `src="`, "").Replace(found))
	}
	want := []string{"home", "home-desktop-light.png", "home-phone-dark-noscript.png", "sign-in", "sign-in-desktop-dark.png"}
	if !slices.Equal(order, want) {
		t.Errorf("it shows %q, want %q", order, want)
	}
}
