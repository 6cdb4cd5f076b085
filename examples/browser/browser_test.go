// Package browser tests the pages for people with a real browser, on the real
// server: what only a browser knows is whether a page looks right, works without
// scripts and can be read.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience bounds whatever a browser or a server is waited for.
const patience = 30 * time.Second

// chromium is the one browser of this run. Tests have tabs in it that share
// nothing.
var chromium = sync.OnceValues(func() (context.Context, error) {
	program, err := findChromium()
	if err != nil {
		return nil, err
	}
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-dev-shm-usage", true), // containers have little of it
		chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("disable-prompt-on-repost", false), // a form is not sent again unasked
		// Nothing leaves this machine.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	atExit = append(atExit, func() {
		closeBrowser()
		stop()
		os.RemoveAll(profile)
	})
	return ctx, chromedp.Do(ctx)
})

// atExit is what ends with the tests.
var atExit []func()

func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium was found: apt-get install --no-install-recommends chromium")
}

// tab is a window of its own: no cookie of another is in it.
type tab struct {
	t       *testing.T
	ctx     context.Context
	look    look
	traffic *traffic
}

// look is how a page is looked at.
type look struct {
	dark, phone, noScripts bool
}

func (l look) String() string {
	name := map[bool]string{false: "desktop", true: "phone"}[l.phone] + "-" + map[bool]string{false: "light", true: "dark"}[l.dark]
	if l.noScripts {
		name += "-noscript"
	}
	return name
}

// looks are those that every page is checked in. With two, each page is seen on a
// desktop and on a phone, in light and in dark, with scripts and without; whoever
// takes pictures gets further ones.
var looks = func() []look {
	if os.Getenv(screenshots) == "" {
		return []look{{}, {phone: true, dark: true, noScripts: true}}
	}
	return []look{{}, {dark: true}, {phone: true}, {phone: true, dark: true, noScripts: true}, {noScripts: true}}
}()

// open opens a tab.
func open(t *testing.T, l look) *tab {
	t.Helper()
	_, err := axeCore()
	must(t, err)
	browser, err := chromium()
	must(t, err)
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	return prepare(ctx, t, l)
}

// prepare makes a window be looked at so.
func prepare(ctx context.Context, t *testing.T, l look) *tab {
	t.Helper()
	b := &tab{t: t, ctx: ctx, look: l, traffic: newTraffic()}
	must(t, chromedp.Listen(ctx, b.traffic.note))
	scheme, width, height := "light", int64(1280), int64(800)
	if l.dark {
		scheme = "dark"
	}
	if l.phone {
		width, height = 375, 740
	}
	send(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 2, Mobile: l.phone,
	})
	send(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	send(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.noScripts})
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// send sends a command of the protocol to the tab.
func send[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	must(b.t, err)
	return result
}

// ask runs an action that answers something.
func ask[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	answer, err := chromedp.Run(ctx, action)
	must(b.t, err)
	return answer
}

// visit opens a page and returns the status of the answer.
func (b *tab) visit(url string) int64 {
	b.t.Helper()
	return b.after(chromedp.Navigate(url))
}

// after does what loads another page, waits for that and returns its status.
func (b *tab) after(actions ...chromedp.Action[chromedp.Void]) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	answer, err := chromedp.RunResponse(ctx, actions...)
	must(b.t, err)
	return answer.Status
}

// fill types into a field, in place of what is there.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	eval[string](b, `document.querySelector(`+strconv.Quote(selector)+`).value = ""`)
	ask(b, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// submit presses a button that loads another page, and returns its status.
func (b *tab) submit(selector string) int64 {
	b.t.Helper()
	return b.after(chromedp.Click(chromedp.CSS(selector)))
}

// wantText fails unless an element says something.
func (b *tab) wantText(selector, want string) {
	b.t.Helper()
	if got := ask(b, chromedp.Text(chromedp.CSS(selector))); !strings.Contains(got, want) {
		b.t.Errorf("%s says %q, want %q in it", selector, got, want)
	}
}

func (b *tab) url() string {
	b.t.Helper()
	return ask(b, chromedp.Location())
}

// eval asks the page something. That works where its own scripts don't.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[T](expression))
}

// becomes waits until a page answers an expression so. While a page takes the place
// of another, neither answers.
func becomes[T comparable](b *tab, expression string, want T) {
	b.t.Helper()
	eventually(b, fmt.Sprintf("%s is %v", expression, want), func(ctx context.Context) (T, bool, error) {
		got, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
		return got, got == want, err
	})
}

// eventually looks until something holds, and fails with the last that was seen.
func eventually[T any](b *tab, what string, look func(context.Context) (seen T, holds bool, err error)) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for ; ; time.Sleep(10 * time.Millisecond) { // between two looks, not for correctness
		seen, holds, err := look(ctx)
		if err == nil && holds {
			return
		}
		if ctx.Err() != nil {
			b.t.Fatalf("it does not come to pass within %s that %s; last seen: %v, error %v", patience, what, seen, err)
		}
	}
}

// wantFocus waits until an element has the focus. (A page that is loaded gives it
// away when it is drawn.)
func (b *tab) wantFocus(id string) {
	b.t.Helper()
	becomes(b, `document.activeElement?.id ?? ""`, id)
}

// check looks at the page that is open with the eyes of those who look at many, and
// takes a picture of it.
func (b *tab) check(name string, l look) {
	b.t.Helper()
	for _, one := range b.wrong() {
		b.t.Errorf("%s (%s): %s", name, l, one)
	}
	b.picture(fmt.Sprintf("%s-%s.png", name, l))
}

// wrong says what is wrong with the page that is open: is it readable, does it fit,
// can it be used by keyboard, is it light, and does it keep to itself.
func (b *tab) wrong() []string {
	b.t.Helper()
	weight := b.weight()
	wrong := append(eval[[]string](b, inspection), b.violations()...)
	if weight > maxWeight {
		wrong = append(wrong, fmt.Sprintf("it weighs %.0f bytes, more than %d", weight, maxWeight))
	}
	return append(wrong, b.traffic.since(origin(b.url()))...)
}
