package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// stopTimeout bounds the stopping of the lab, which must also work after Ctrl-C.
const stopTimeout = 2 * time.Minute

// Session is a running lab with the images loaded, and the ways to talk to it.
type Session struct {
	Checkout   Checkout
	Lab        Lab
	Kubectl    Kubectl
	Client     client.WithWatch
	Clientset  kubernetes.Interface
	Config     *rest.Config
	Transcript *Transcript
	// RanBefore says that the lab was there already. Then it is not ours to stop.
	RanBefore bool
}

// Open uses the lab that runs, or starts one, and loads the operator's images into it. The caller must Close the session.
// If Open fails, a lab that it started is stopped again.
func Open(ctx context.Context, checkout Checkout, transcript *Transcript, out io.Writer) (_ *Session, err error) {
	images, err := checkout.imageFiles()
	if err != nil {
		return nil, err
	}
	lab, err := NewLab(ctx, checkout, out)
	if err != nil {
		return nil, err
	}
	ranBefore, err := lab.Running(ctx)
	if err != nil {
		return nil, err
	}
	s := &Session{Checkout: checkout, Lab: lab, Transcript: transcript, RanBefore: ranBefore}
	if ranBefore {
		transcript.Say("the lab runs already and is used; it will be left running")
	} else {
		transcript.Say("starting the lab: two nodes on this machine")
		if err := lab.Up(ctx); err != nil {
			return nil, fmt.Errorf("start the lab: %w", err)
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(ctx))
		}
	}()
	transcript.Say("loading the operator's images into both nodes")
	if err := lab.Load(ctx, images...); err != nil {
		return nil, fmt.Errorf("load the images: %w", err)
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Session) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", s.Lab.Kubeconfig())
	if err != nil {
		return fmt.Errorf("read the lab's kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("register the kinds: %w", err)
	}
	s.Config = config
	if s.Client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make a client of the lab: %w", err)
	}
	if s.Clientset, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("make a client of the lab: %w", err)
	}
	s.Kubectl = NewKubectl(s.Checkout, s.Lab, s.Transcript)
	return nil
}

// Close stops the lab if the session started it, also when the context has ended.
func (s *Session) Close(ctx context.Context) error {
	if s.RanBefore {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	s.Transcript.Say("stopping the lab")
	if err := s.Lab.Down(ctx); err != nil {
		return fmt.Errorf("stop the lab (try `make lab-down`): %w", err)
	}
	return nil
}
