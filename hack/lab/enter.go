package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// surroundings says where a program of the lab runs. The lab starts itself once more with this text, and that
// second self moves to the place and then becomes the program: so the program has the same process number, and is
// never outside of its cgroup and namespaces.
type surroundings struct {
	Cgroup           string `json:"cgroup"`
	NetworkNamespace string `json:"networkNamespace"` // its name
	// MountsOfPID joins the mount namespace of that process; zero stays in the machine's.
	MountsOfPID int `json:"mountsOfPID,omitempty"`
	// View, when set, makes a mount namespace of its own, begun as a copy of the present one.
	View *view `json:"view,omitempty"`
}

// view says how a new mount namespace differs from the one that it was copied from.
type view struct {
	// Detach lists directories. What is mounted below them is let go in the copy: it would otherwise be held for as
	// long as the copy lives, after its owner has unmounted it (a namespace, a file system of another container).
	Detach []string `json:"detach,omitempty"`
	// Private lists mounts whose changes are not passed on to the namespace that was copied.
	Private []string `json:"private,omitempty"`
	Binds   []bind   `json:"binds"`
	// Separate keeps what is mounted in the copy from the namespace that was copied.
	Separate bool `json:"separate,omitempty"`
}

// bind makes Source appear at Target.
type bind struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// enter moves the calling process to the surroundings and becomes the program. It returns only on failure.
func (s surroundings) enter(command []string) error {
	runtime.LockOSThread() // namespaces are of a thread; the one that execs decides for the program
	all, err := machineHierarchies()
	if err != nil {
		return err
	}
	if err := joinCgroup(all, s.Cgroup); err != nil {
		return err
	}
	// The network comes first: a node's own mounts hide the file by which its network is found.
	if err := joinNetwork(s.NetworkNamespace); err != nil {
		return err
	}
	if s.MountsOfPID != 0 {
		if err := joinMounts(s.MountsOfPID); err != nil {
			return err
		}
	}
	if s.View != nil {
		if err := s.View.apply(); err != nil {
			return err
		}
	}
	if err := syscall.Exec(command[0], command, os.Environ()); err != nil {
		return fmt.Errorf("run %s: %w", command[0], err)
	}
	return nil
}

func joinNetwork(name string) error {
	handle, err := netns.GetFromPath(filepath.Join(namespacesDir, name))
	if err != nil {
		return fmt.Errorf("open the network namespace %s: %w", name, err)
	}
	defer handle.Close()
	if err := netns.Set(handle); err != nil {
		return fmt.Errorf("join the network namespace %s: %w", name, err)
	}
	return nil
}

// joinMounts moves the thread to the mount namespace of the process. A thread that shares its working directory with
// others may not (setns(2)), so it stops sharing first.
func joinMounts(pid int) error {
	fd, err := unix.Open(filepath.Join("/proc", strconv.Itoa(pid), "ns", "mnt"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the mount namespace of process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("stop sharing the working directory: %w", err)
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("join the mount namespace of process %d: %w", pid, err)
	}
	return nil
}

func (v view) apply() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if v.Separate {
		// A slave still lets go of what is unmounted in the original, so it keeps no file system of others busy.
		if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("separate the mounts from the machine's: %w", err)
		}
	}
	for _, target := range v.Private {
		if err := unix.Mount("", target, "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("make %s private: %w", target, err)
		}
	}
	if err := v.detach(); err != nil {
		return err
	}
	for _, b := range v.Binds {
		if err := unix.Mount(b.Source, b.Target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("show %s at %s: %w", b.Source, b.Target, err)
		}
	}
	if v.Separate {
		// What joins this namespace later, or copies it, shares mounts with it: the kubelet mounts volumes that
		// containerd then gives to pods. Done last, or the binds would mirror each other's mounts.
		if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("share the mounts within the node: %w", err)
		}
	}
	return nil
}

func (v view) detach() error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	for _, dir := range v.Detach {
		for _, target := range mountsBelow(mounts, dir) {
			// Its owner may have unmounted it since, and removed the file: then it is let go already.
			err := unix.Unmount(target, unix.MNT_DETACH)
			if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("let go of %s: %w", target, err)
			}
		}
	}
	return nil
}
