package browser

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// maxWeight is what a page may weigh with all that it needs, in bytes over the wire.
const maxWeight = 100_000

// secret is in each secret that we give away.
var secret = regexp.MustCompile(`cb_(test|live)_`)

// needed is what a page is not whole without. (What a script asks for later may go
// on for ever, and the browser asks for an icon whenever it likes.)
var needed = []network.ResourceType{
	network.ResourceTypeDocument, network.ResourceTypeStylesheet, network.ResourceTypeScript, network.ResourceTypeImage, network.ResourceTypeFont,
}

// traffic is what a tab asked for, and what its browser complained of.
type traffic struct {
	mu         sync.Mutex
	requests   map[network.RequestID]*request
	sizes      map[string]float64 // of files that the browser keeps, by address
	addresses  []string           // asked for since the last look
	complaints []string           // since the last look
}

// request is one that a page sent.
type request struct {
	of   cdp.LoaderID // the page
	kind network.ResourceType
	url  string
	size float64 // of the answer with its header, in bytes
	done bool
}

func newTraffic() *traffic {
	return &traffic{requests: map[network.RequestID]*request{}, sizes: map[string]float64{}}
}

// note is told of each event of the browser.
func (tr *traffic) note(event any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		tr.asked(e)
	case *network.EventLoadingFinished:
		tr.finished(e.RequestID, e.EncodedDataLength)
	case *network.EventLoadingFailed:
		tr.finished(e.RequestID, 0)
	case *log.EventEntryAdded:
		// That an answer is no success is what the page says.
		if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.Text, "the server responded with a status of") {
			tr.complain("the browser complains: %s", e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		tr.complain("a script fails: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			tr.complain("a script complains: %s", e.Args[0].Value)
		}
	}
}

func (tr *traffic) complain(format string, args ...any) {
	tr.complaints = append(tr.complaints, fmt.Sprintf(format, args...))
}

// asked notes a request. A redirect is another with the same id.
func (tr *traffic) asked(e *network.EventRequestWillBeSent) {
	tr.requests[e.RequestID] = &request{of: e.LoaderID, kind: e.Type, url: e.Request.URL}
	tr.addresses = append(tr.addresses, e.Request.URL)
	if strings.HasPrefix(e.Request.URL, "data:") {
		return // the browser's own picture in a field, which asks nobody
	}
	if e.Type != network.ResourceTypeDocument && origin(e.Request.URL) != origin(e.DocumentURL) {
		tr.complain("%s asks another origin: %s", e.DocumentURL, e.Request.URL)
	}
}

func (tr *traffic) finished(id network.RequestID, size float64) {
	if r := tr.requests[id]; r != nil {
		r.size, r.done = size, true
		tr.sizes[r.url] = max(tr.sizes[r.url], size)
	}
}

// origin is the scheme, host and port of an address.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Scheme + "://" + u.Host
}

// weigh returns the weight of a page with what it needs, and false while a part of
// it is on the way. What the browser has kept from before weighs as much as then.
func (tr *traffic) weigh(of cdp.LoaderID) (weight float64, whole bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, r := range tr.requests {
		switch {
		case r.of != of || !slices.Contains(needed, r.kind):
		case !r.done:
			return 0, false
		case r.kind == network.ResourceTypeDocument:
			weight += r.size
		default:
			weight += tr.sizes[r.url]
		}
	}
	return weight, true
}

// since returns the complaints since the last look, among them secrets in addresses
// of this origin. (An app gets its code in one.)
func (tr *traffic) since(own string) (wrong []string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, address := range tr.addresses {
		if origin(address) == own && secret.MatchString(address) {
			tr.complain("a secret stands in the address %s", address)
		}
	}
	wrong, tr.complaints, tr.addresses = tr.complaints, nil, nil
	return wrong
}

// weight is that of the page that is open with all that it needs.
func (b *tab) weight() (weight float64) {
	b.t.Helper()
	loader := send(b, page.GetFrameTree, cdp.Empty{}).FrameTree.Frame.LoaderID
	eventually(b, "the page is whole", func(context.Context) (float64, bool, error) {
		var whole bool
		weight, whole = b.traffic.weigh(loader)
		return weight, whole, nil
	})
	return weight
}
