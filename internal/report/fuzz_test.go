package report

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/internal/manifest"
)

// Whatever a saved file says, it is told or refused: nothing is drawn at a place that is no number.
func FuzzPages(f *testing.F) {
	for _, name := range names() {
		text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		documents, _ := manifest.Read("f", bytes.NewReader(text))
		var objects Objects
		if _, err := objects.Add(documents); err != nil {
			return
		}
		pages := pagesOf(objects, rules())
		if err := WriteText(io.Discard, pages, 0); err != nil {
			t.Error(err)
		}
		var page bytes.Buffer
		if err := WriteHTML(&page, pages, now()); err != nil {
			t.Error(err)
		}
		for _, none := range []string{`"NaN"`, `"+Inf"`, `"-Inf"`} {
			if strings.Contains(page.String(), none) {
				t.Errorf("a place is %s", none)
			}
		}
	})
}
