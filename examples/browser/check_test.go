package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// pageOf serves one page that has this in its main part.
func pageOf(t *testing.T, main string, files map[string]string) (address string) {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if file, is := files[r.URL.Path]; is {
			w.Header().Set("Cache-Control", "max-age=3600")
			http.ServeContent(w, r, r.URL.Path, time.Time{}, strings.NewReader(file))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src *")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Page</title><link rel="stylesheet" href="/style.css"><main><h1>Page</h1>%s</main>`, main)
	}))
	t.Cleanup(site.Close)
	return site.URL + "/"
}

// What check says of a page that has every fault: a check that finds nothing proves
// nothing.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	b := open(t, look{})
	page := pageOf(t, `
<p class="pale">Pale</p>
<div><button class="small">A</button><button class="small">B</button></div>
<input name="nameless">
<label>Name <input class="edge"></label>
<p class="broad">Broad</p>
<p class="out">Out</p>
<form method="post" action="/login"></form>
<form action="/login"><label>Password <input type="password"></label><button>Go</button></form>
<form method="post" action="/x"><input type="hidden" name="csrf"><button>Go</button></form>
<p style="margin: 0">Styled</p>
<p onclick="1">Scripted</p>
<img alt="" src="`+elsewhere.URL+`/pixel">
<script>1</script>
<script src="/fails.js"></script>
<script src="/complains.js"></script>
</main>
<main>`, map[string]string{
		"/style.css":    "body { color: #000; background: #fff } .pale { color: #ccc } .small { width: 9px; height: 9px; padding: 0; border: 0 } .edge { border: 1px solid #ddd } main { width: 600px } .broad { width: 3000px } .out { width: 700px }",
		"/fails.js":     "null.x //" + strings.Repeat("x", maxWeight),
		"/complains.js": "console.error('alas')",
	})
	want := []string{
		"axe color-contrast: ", "axe label: ", "axe target-size: ", "axe landmark-no-duplicate-main: ",
		"of the border of <input.edge>", "sticks out at the right: <p.broad>", "sticks out of the sheet: <p.out>", "the page scrolls sideways",
		"a form without a button: ", "a form that puts a password into an address: ", "a form that other sites could send: ",
		"a style outside the style sheet", "a script outside the script file", "a script in onclick of <p> Scripted",
		"violates the following Content Security Policy", "a script fails: ", `a script complains: "alas"`,
		" asks another origin: " + elsewhere.URL, "a secret stands in the address ", "it weighs ",
	}
	b.visit(page + "?token=cb_test_personal_x")
	found := strings.Join(b.wrong(), "\n")
	for _, one := range want {
		if !strings.Contains(found, one) {
			t.Errorf("%q is not found: %s", one, found)
		}
	}
	first := b.weight()
	b.visit(page + "again") // most of it is in the browser's cache now
	if again := b.weight(); again < first-100 || again > first+100 {
		t.Errorf("the page weighs %.0f bytes, and later %.0f", first, again)
	}
	if found := strings.Join(b.wrong(), "\n"); strings.Contains(found, "a secret") {
		t.Errorf("said again: %s", found)
	}
}

func TestCheckFindsNothingWrong(t *testing.T) {
	b := open(t, look{noScripts: true})
	b.visit(pageOf(t, `<p>Nothing to see.</p>`, nil))
	if found := b.wrong(); len(found) > 0 {
		t.Errorf("%v", found)
	}
}
