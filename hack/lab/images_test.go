package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// buildPause returns the path of a small static program.
func buildPause(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "pause")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./pause")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return binary
}

func TestWriteImage(t *testing.T) {
	binary := buildPause(t)
	var digests []string
	for _, name := range []string{"a.tar", "b.tar"} {
		spec := imageSpec{
			Binary: binary, Name: "connpolicy.dev/test:v1", Entrypoint: "/pause", UserID: 65532,
			Output: filepath.Join(t.TempDir(), name),
		}
		if err := writeImage(spec); err != nil {
			t.Fatal(err)
		}
		image, err := tarball.ImageFromPath(spec.Output, nil)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Config.User != "65532:65532" || strings.Join(config.Config.Entrypoint, " ") != "/pause" || config.OS != "linux" {
			t.Errorf("the image is configured as %+v", config)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
		layers, err := image.Layers()
		if err != nil || len(layers) != 1 {
			t.Fatalf("%d layers, %v; want one", len(layers), err)
		}
		content, err := layers[0].Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := tarNames(t, content), "etc/ tmp/ etc/passwd etc/group pause"; got != want {
			t.Errorf("the image holds %s, want %s", got, want)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("the same program gives two images: %v", digests)
	}
}

func tarNames(t *testing.T, content io.Reader) string {
	t.Helper()
	var names []string
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

func TestWriteImageRefuses(t *testing.T) {
	binary := buildPause(t)
	good := imageSpec{Binary: binary, Name: "connpolicy.dev/test:v1", Entrypoint: "/pause", Output: filepath.Join(t.TempDir(), "x.tar")}
	noTag, relative, nested, text, dynamic := good, good, good, good, good
	noTag.Name = "connpolicy.dev/test"
	relative.Entrypoint = "pause"
	nested.Entrypoint = "/bin/pause"
	text.Binary = "go.mod"
	dynamic.Binary = "/bin/sh"
	for name, test := range map[string]struct {
		spec imageSpec
		want string
	}{
		"a name without a tag":    {noTag, "needs a tag"},
		"a relative entrypoint":   {relative, "root directory"},
		"a nested entrypoint":     {nested, "root directory"},
		"what is no program":      {text, "look at the program"},
		"a program with a loader": {dynamic, "CGO_ENABLED=0"},
	} {
		if err := writeImage(test.spec); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, test.want)
		}
		if !absent(test.spec.Output) {
			t.Errorf("%s: an image was written", name)
		}
	}
}
