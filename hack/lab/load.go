package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

const (
	pauseImageName   = "connpolicy.dev/lab/pause:v1"
	pauseImageUserID = 65535
)

// writePauseImage writes the image that holds the namespaces of every pod.
func writePauseImage(l layout) error {
	return writeImage(imageSpec{
		Binary: l.program("pause"), Name: pauseImageName, Entrypoint: "/pause", UserID: pauseImageUserID,
		Output: l.pauseImage(),
	})
}

// loadImages gives the images in the tar files to every node of the running lab.
func loadImages(ctx context.Context, files []string) error {
	r, err := readRecord()
	if err != nil {
		return err
	}
	if r == nil {
		return errNoLab
	}
	l, err := newLauncher(layout{root: r.Root}, r)
	if err != nil {
		return err
	}
	for _, file := range files {
		for _, n := range nodes() {
			if err := loadImage(ctx, l, n, file); err != nil {
				return err
			}
		}
		say("loaded %s into every node", file)
	}
	return nil
}

// loadImage gives the images in the tar file to the node's containerd, under the names that the file holds.
func loadImage(ctx context.Context, l *launcher, n node, file string) (err error) {
	containerd, err := l.record.find(containerdName(n))
	if err != nil {
		return err
	}
	content, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open the image: %w", err)
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	place := surroundings{
		Cgroup: programCgroup("ctr-" + n.name), NetworkNamespace: n.name, MountsOfPID: containerd.PID,
	}
	// The kubelet looks for images in this namespace of containerd's.
	command := []string{nodeProgram("ctr"), "--namespace=k8s.io", "images", "import", "-"}
	if err := l.run(ctx, place, content, command); err != nil {
		return fmt.Errorf("load %s into %s: %w", file, n.name, err)
	}
	return nil
}
