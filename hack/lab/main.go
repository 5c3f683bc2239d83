// Command lab builds, starts, shows and stops a real Kubernetes cluster of two nodes on one Linux machine, in network
// namespaces of its own, without a container engine or an image registry.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `Usage: lab COMMAND

  build [--only a,b]   build the programs of the cluster into bin/lab/bin; what is up to date stays
  up                   build what is missing and start the cluster
  status               show what runs; fails unless all is up
  load FILE.tar ...    give the images in the files to every node
  image --binary PATH --name REF --entrypoint /x [--user ID] --output FILE.tar
                       write an image that holds one static program
  packages NAME ...    install those of Debian's packages that are missing; what they bring is not started
  exec NODE COMMAND    run a command in a node, or in "control"
  down                 stop the cluster and remove all but programs and logs
  check-clean          list what is left of a cluster; fails if anything is
`

// enterCommand is for the lab's own use: see surroundings.
const enterCommand = "enter"

func main() {
	outliveReaders()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		say("%v", err)
		os.Exit(1)
	}
}

// outliveReaders lets the lab go on when nobody reads its output any more. The Ctrl-C that interrupts `up | tee log` ends
// tee too, and the next line that is printed would end the lab before it has removed what it started. The signal is
// taken and not ignored, since programs that the lab starts would inherit the latter.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return errors.New("no command was given")
	}
	command, rest := arguments[0], arguments[1:]
	switch command {
	case "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	case "build":
		return runBuild(ctx, rest)
	case "image":
		return runImage(rest)
	case "packages":
		return runPackages(ctx, rest)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("`%s` works with namespaces and cgroups: run it as root", command)
	}
	switch command {
	case enterCommand:
		return runEnter(rest)
	case "up":
		l, err := findLayout()
		if err != nil {
			return err
		}
		return up(ctx, l)
	case "status":
		return status(ctx, os.Stdout)
	case "load":
		if len(rest) == 0 {
			return errors.New("name the tar files to load")
		}
		return loadImages(ctx, rest)
	case "exec":
		return execIn(rest)
	case "down":
		return down()
	case "check-clean":
		return checkClean(os.Stdout)
	}
	fmt.Fprint(os.Stderr, usage)
	return fmt.Errorf("there is no command %q", command)
}

func runEnter(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("where to run, or what, is missing")
	}
	var where surroundings
	if err := json.Unmarshal([]byte(arguments[0]), &where); err != nil {
		return fmt.Errorf("read where to run: %w", err)
	}
	return where.enter(arguments[1:])
}

func runBuild(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	only := flags.String("only", "", "the `programs` to build, separated by commas; all when empty")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	l, err := findLayout()
	if err != nil {
		return err
	}
	names := strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })
	return buildPrograms(ctx, l, names)
}

func runImage(arguments []string) error {
	const nonRootUserID = 65532
	var spec imageSpec
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&spec.Binary, "binary", "", "`path` of the static program")
	flags.StringVar(&spec.Name, "name", "", "the image's `name` with its tag")
	flags.StringVar(&spec.Entrypoint, "entrypoint", "", "`path` of the program in the image, such as /manager")
	flags.UintVar(&spec.UserID, "user", nonRootUserID, "`id` of the user and the group that run it")
	flags.StringVar(&spec.Output, "output", "", "the tar `file` to write")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	for option, value := range map[string]string{
		"--binary": spec.Binary, "--name": spec.Name, "--entrypoint": spec.Entrypoint, "--output": spec.Output,
	} {
		if value == "" {
			return fmt.Errorf("image needs %s", option)
		}
	}
	return writeImage(spec)
}

// checkClean lists what is left of a lab and fails if anything is.
func checkClean(out io.Writer) error {
	left, err := leftovers()
	if err != nil {
		return err
	}
	for _, item := range left {
		if _, err := fmt.Fprintln(out, item); err != nil {
			return fmt.Errorf("print what is left: %w", err)
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%d things of a lab are on this machine: `down` removes them", len(left))
	}
	return nil
}
