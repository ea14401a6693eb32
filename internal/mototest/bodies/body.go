package bodies

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/internal/lxdtest"
)

// A body is the container of one instance. Its name is the instance's id.
type body struct {
	address string
	is      types.InstanceStateName // what it has been brought to: running, stopped, terminated; "" before it is made
	busy    bool                    // it is being brought elsewhere
	boots   int                     // how often it has been started
	reboots int                     // those that it has been told of
}

// body is the instance's, and whether there is one already.
func (w *World) body(in types.Instance) (*body, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.bodies[aws.ToString(in.InstanceId)]
	return b, ok
}

// follow brings the instance's body to where the instance is.
func (w *World) follow(running *sync.WaitGroup, in types.Instance) {
	id := aws.ToString(in.InstanceId)
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.bodies[id]
	if b == nil {
		b = &body{address: aws.ToString(in.PrivateIpAddress)}
		w.bodies[id] = b
	}
	if b.busy {
		return
	}
	var act func() error
	next, reboots := in.State.Name, w.cloud.Reboots(id)
	lxc := func(args ...string) func() error {
		return func() error {
			_, err := w.lxd.Try(args...)
			return err
		}
	}
	switch {
	case next == b.is && next == types.InstanceStateNameRunning && reboots > b.reboots:
		b.reboots, act = reboots, lxc("restart", "--force", id)
	case next == b.is:
	case next == types.InstanceStateNameRunning && b.is == "" && w.taken(b):
	case next == types.InstanceStateNameRunning && b.is == "":
		act = func() error { return w.boot(in) }
	case next == types.InstanceStateNameRunning:
		act = lxc("start", id)
	case next == types.InstanceStateNameStopped && b.is != "":
		act = lxc("stop", "--force", id)
	case next == types.InstanceStateNameTerminated && b.is == "":
		b.is = next
	case next == types.InstanceStateNameTerminated:
		act = lxc("delete", "--force", id)
	}
	if act == nil {
		return
	}
	b.busy = true
	running.Go(func() {
		err := act()
		w.mu.Lock()
		defer w.mu.Unlock()
		b.busy, b.is = false, next
		if next == types.InstanceStateNameRunning {
			b.boots++
		}
		if err != nil {
			w.t.Errorf("the body of instance %s, to be %s: %v", id, next, err)
		}
	})
}

// taken says whether another body still has the address, which the emulator gives away again at once. Who calls it holds the lock.
func (w *World) taken(b *body) bool {
	for _, other := range w.bodies {
		if other != b && other.address == b.address && (other.busy || other.is != "" && other.is != types.InstanceStateNameTerminated) {
			return true
		}
	}
	return false
}

// boot makes the body and starts it.
func (w *World) boot(in types.Instance) error {
	id := aws.ToString(in.InstanceId)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	attr, err := w.API.DescribeInstanceAttribute(ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: in.InstanceId, Attribute: types.InstanceAttributeNameUserData})
	if err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(aws.ToString(attr.UserData.Value))
	if err != nil {
		return err
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("its user data is no text, and LXD can give it nothing else")
	}
	w.mu.Lock()
	w.userData[id] = string(data)
	w.mu.Unlock()
	text, err := w.configuration(in, string(data))
	if err != nil {
		return err
	}
	if _, err := w.lxd.TryInput(text, "init", w.lxd.Image, id); err != nil {
		return err
	}
	if _, err := w.lxd.TryInput(lxdtest.JavaProgram, "file", "push", "--mode=0755", "--uid=0", "--gid=0", "-", id+"/usr/bin/java"); err != nil {
		return err
	}
	if _, err = w.lxd.Try("start", id); err != nil && !strings.Contains(err.Error(), "already running") {
		return err
	}
	return nil
}
