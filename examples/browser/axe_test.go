package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axeCore is the source of axe-core, which knows the rules of accessibility.
var axeCore = sync.OnceValues(func() (string, error) {
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		return "", fmt.Errorf("axe-core, which looks at the pages, is not installed; install it with: make axe (%w)", err)
	}
	return string(source), nil
})

// axeRun runs the rules of WCAG 2.0, 2.1 and 2.2, levels A and AA, and those that are
// good practice. None is left out.
const axeRun = `
;axe.run(document, {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'],
  resultTypes: ['violations'],
  preload: false,
}).then(found => found.violations.map(v => ({
  id: v.id, help: v.help,
  nodes: v.nodes.map(n => n.html.slice(0, 200) + ': ' + n.failureSummary.split('\n').slice(1).map(s => s.trim()).join('; ')),
})))`

// violation is a rule that the page breaks, and where.
type violation struct {
	ID, Help string
	Nodes    []string
}

func (v violation) String() string {
	return fmt.Sprintf("axe %s: %s:\n\t%s", v.ID, v.Help, strings.Join(v.Nodes, "\n\t"))
}

// violations are the rules of accessibility that the page breaks. They are looked
// for in a world of their own: neither the page's policy nor its scripts are in it.
// Where scripts are off they are on for that moment; those of the page are not run
// later.
func (b *tab) violations() (found []string) {
	b.t.Helper()
	source, err := axeCore()
	must(b.t, err)
	frame := send(b, page.GetFrameTree, cdp.Empty{}).FrameTree.Frame.ID
	world := send(b, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frame, WorldName: "axe"}).ExecutionContextID
	if b.look.noScripts {
		send(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: false})
		defer send(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
	answer := ask(b, chromedp.Evaluate[json.RawMessage](source+axeRun, chromedp.EvalAwaitPromise, func(p *runtime.EvaluateParams) {
		p.ContextID = world
	}))
	var broken []violation
	must(b.t, json.Unmarshal(answer, &broken))
	for _, v := range broken {
		found = append(found, v.String())
	}
	return found
}
