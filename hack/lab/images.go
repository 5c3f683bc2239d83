package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// imageSpec describes an image that holds one static program and what a program may expect of a file system.
type imageSpec struct {
	Binary     string // path of the program on this machine
	Name       string // the image's name with its tag
	Entrypoint string // path of the program in the image, in the root directory
	UserID     uint   // of the user that runs it, and of its group
	Output     string // path of the tar file to write
}

// writeImage writes the image as a tar file that `docker load` and `ctr images import` read. The same input gives
// the same image, to the digest.
func writeImage(spec imageSpec) error {
	if path.Dir(spec.Entrypoint) != "/" || path.Clean(spec.Entrypoint) != spec.Entrypoint || spec.Entrypoint == "/" {
		return fmt.Errorf("the entrypoint %q is not a file in the root directory: name one such as /manager", spec.Entrypoint)
	}
	tag, err := name.NewTag(spec.Name, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("read the image's name (it needs a tag, as in example.org/thing:v1): %w", err)
	}
	if err := checkStatic(spec.Binary); err != nil {
		return err
	}
	content, err := layerContent(spec)
	if err != nil {
		return err
	}
	image, err := assembleImage(spec, content)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(spec.Output), 0o755); err != nil {
		return fmt.Errorf("make the directory of the image: %w", err)
	}
	if err := tarball.WriteToFile(spec.Output, tag, image); err != nil {
		return fmt.Errorf("write the image %s: %w", spec.Output, err)
	}
	return nil
}

// checkStatic refuses a program that needs a dynamic loader: the image has none.
func checkStatic(binary string) (err error) {
	file, err := elf.Open(binary)
	if err != nil {
		return fmt.Errorf("look at the program: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically: build it with CGO_ENABLED=0", binary)
		}
	}
	return nil
}

func assembleImage(spec imageSpec, content []byte) (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, fmt.Errorf("make the layer: %w", err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("add the layer: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the image's configuration: %w", err)
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = runtime.GOARCH, "linux"
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{
		Entrypoint: []string{spec.Entrypoint},
		Env:        []string{"PATH=/"},
		User:       fmt.Sprintf("%d:%d", spec.UserID, spec.UserID),
		WorkingDir: "/",
	}
	configured, err := mutate.ConfigFile(image, config)
	if err != nil {
		return nil, fmt.Errorf("configure the image: %w", err)
	}
	return configured, nil
}

// layerContent returns the file system as an uncompressed tar, with times and owners that never differ.
func layerContent(spec imageSpec) ([]byte, error) {
	program, err := os.ReadFile(spec.Binary)
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	users, groups := "root:x:0:0:root:/:/sbin/nologin\n", "root:x:0:\n"
	if spec.UserID != 0 {
		users += fmt.Sprintf("nonroot:x:%d:%d:nonroot:/:/sbin/nologin\n", spec.UserID, spec.UserID)
		groups += fmt.Sprintf("nonroot:x:%d:\n", spec.UserID)
	}
	entries := []layerEntry{{path: "etc/", mode: 0o755}, {path: "tmp/", mode: 0o1777}}
	entries = append(entries,
		layerEntry{path: "etc/passwd", mode: 0o644, content: []byte(users)},
		layerEntry{path: "etc/group", mode: 0o644, content: []byte(groups)},
		layerEntry{path: strings.TrimPrefix(spec.Entrypoint, "/"), mode: 0o755, content: program},
	)
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, entry := range entries {
		if err := entry.write(archive); err != nil {
			return nil, fmt.Errorf("write %s to the layer: %w", entry.path, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("end the layer: %w", err)
	}
	return out.Bytes(), nil
}

// layerEntry is one file of a layer, or a directory when its path ends with a slash.
type layerEntry struct {
	path    string
	mode    int64
	content []byte
}

func (e layerEntry) write(archive *tar.Writer) error {
	header := &tar.Header{
		Name: e.path, Mode: e.mode, Size: int64(len(e.content)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
		Typeflag: tar.TypeReg,
	}
	if strings.HasSuffix(e.path, "/") {
		header.Typeflag = tar.TypeDir
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(e.content)
	return err
}
