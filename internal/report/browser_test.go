package report

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/connpolicy/connpolicy/internal/audit"
)

// screenshots is where the pages are kept, to be looked at.
const screenshots = "../../bin/report"

// browserTimeout bounds all that is done with one page. It takes a second or two alone on a machine.
const browserTimeout = 3 * time.Minute

// chromium is the path of a browser. Without one the test is skipped, or fails in CI.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no chromium: install it, for example with 'apt-get install chromium'")
	}
	t.Skip("no chromium: install it, for example with 'apt-get install chromium'")
	return ""
}

// browser starts one for the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(chromium(t)), chromedp.NoSandbox,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(browserTimeout), chromedp.WindowSize(1100, 900))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// complaints are what the browser's console says, and what it asks the network for.
type complaints struct {
	mutex sync.Mutex
	list  []string
}

func (c *complaints) add(format string, values ...any) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.list = append(c.list, fmt.Sprintf(format, values...))
}

func (c *complaints) listen(ctx context.Context) error {
	return chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			c.add("console: %s", e.Type)
		case *runtime.EventExceptionThrown:
			c.add("exception: %s", e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			c.add("log: %s", e.Entry.Text)
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, "file://") && !strings.HasPrefix(e.Request.URL, "data:") {
				c.add("asks the network for %s", e.Request.URL)
			}
		}
	})
}

// faultsOfPlots returns what is wrong with the plots of a page: each must have a title, two axes with a label, a unit and
// ticks, and data; no two texts may touch, and none may leave the drawing.
const faultsOfPlots = `(() => {
  const faults = [];
  for (const plot of document.querySelectorAll("svg")) {
    const title = plot.querySelector("title"), name = title ? title.textContent : "a plot";
    const fault = text => faults.push(name + ": " + text);
    if (!title || !title.textContent.trim()) fault("no title");
    if (!plot.querySelector("text.title")) fault("no title to see");
    if (!plot.querySelector("desc") || plot.querySelector("desc").textContent.length < 20) fault("no description");
    for (const axis of ["axis-x", "axis-y"]) {
      const group = plot.querySelector("." + axis);
      if (!group) { fault("no " + axis); continue; }
      if (!group.dataset.unit) fault(axis + " without a unit");
      const label = group.querySelector(".axis-label");
      if (!label || !label.textContent.trim()) fault(axis + " without a label");
      else if (!label.textContent.includes(group.dataset.unit)) fault(axis + " does not name its unit");
      const ticks = group.querySelectorAll(".tick").length;
      if (ticks < (axis === "axis-x" ? 2 : 1)) fault(axis + " with " + ticks + " ticks");
    }
    if (plot.querySelectorAll(".shapes circle, .shapes rect, .shapes polyline").length === 0) fault("no data");
    if (/NaN|Infinity/.test(plot.outerHTML)) fault("a place that is no number");
    const frame = plot.getBoundingClientRect(), texts = [...plot.querySelectorAll("text")].filter(t => t.textContent.trim());
    const boxes = texts.map(t => t.getBoundingClientRect());
    for (let i = 0; i < texts.length; i++) {
      const a = boxes[i];
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 || a.bottom > frame.bottom + 1)
        fault("text leaves the drawing: " + texts[i].textContent);
      for (let j = i + 1; j < texts.length; j++) {
        const b = boxes[j];
        if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2)
          fault("texts touch: " + texts[i].textContent + " | " + texts[j].textContent);
      }
    }
  }
  if (document.documentElement.scrollWidth > window.innerWidth) faults.push("the page is wider than the window");
  return faults;
})()`

func TestPageInBrowser(t *testing.T) {
	ctx := browser(t)
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		t.Fatal(err)
	}
	said := &complaints{}
	if err := said.listen(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, browserTimeout)
	defer cancel()
	for _, name := range append(names(), "everything", "together") {
		t.Run(name, func(t *testing.T) {
			pages := pagesNamed(t, name, audit.Rules())
			want := 0
			for _, p := range pages {
				for _, l := range p.Links {
					for _, s := range l.Sections {
						want += len(s.Plots)
					}
				}
			}
			var html bytes.Buffer
			if err := WriteHTML(&html, pages, now()); err != nil {
				t.Fatal(err)
			}
			name := path.Base(name)
			keep(t, name+".html", html.Bytes())
			file, err := filepath.Abs(filepath.Join(screenshots, name+".html"))
			if err != nil {
				t.Fatal(err)
			}
			for _, look := range looks() {
				if err := chromedp.Do(ctx, chromedp.EmulateViewport(look.width, 900), chromedp.Navigate("file://"+file)); err != nil {
					t.Fatal(err)
				}
				look.check(ctx, t, want)
				keep(t, name+"-"+look.name+".png", run(ctx, t, chromedp.FullScreenshot(100)))
			}
			keep(t, name+".pdf", run(ctx, t, chromedp.PrintToPDF(chromedp.PDFPaper(chromedp.PaperA4), chromedp.PDFPreferCSSPageSize())))
		})
	}
	said.mutex.Lock()
	defer said.mutex.Unlock()
	for _, complaint := range said.list {
		t.Error(complaint)
	}
}

// look is a way to look at a page.
type look struct {
	name  string
	width int64
	media emulation.SetEmulatedMediaParams
}

func looks() []look {
	scheme := func(name string) emulation.SetEmulatedMediaParams {
		return emulation.SetEmulatedMediaParams{Media: "screen", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}
	}
	return []look{
		{"light", 1100, scheme("light")}, {"dark", 1100, scheme("dark")}, {"phone", 390, scheme("light")},
		// A4 at 96 dots an inch.
		{"print", 794, emulation.SetEmulatedMediaParams{Media: "print"}},
	}
}

// check looks at the page that is loaded.
func (l look) check(ctx context.Context, t *testing.T, plots int) {
	t.Helper()
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, l.media); err != nil {
		t.Fatal(err)
	}
	for _, fault := range run(ctx, t, chromedp.Evaluate[[]string](faultsOfPlots)) {
		t.Errorf("%s: %s", l.name, fault)
	}
	if drawn := run(ctx, t, chromedp.Evaluate[int](`document.querySelectorAll("svg").length`)); drawn != plots {
		t.Errorf("%s: %d plots, want %d", l.name, drawn, plots)
	}
}

func run[T any](ctx context.Context, t *testing.T, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func keep(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(screenshots, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}
