package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/state"
)

// lookEvery is how often the machine looks at how it is reached although the kernel has told of nothing: some of that changes
// without its addresses, such as the keys of its sshd, and the kernel may not tell.
const lookEvery = 10 * time.Second

// watcher returns what is to be called when the machine may be another than it was: it signals changed if it is. While nothing
// changes nobody is woken, and the tree is not asked.
func (m *machine) watcher() (look func()) {
	see := func() string {
		return string(state.Encode(m.describe(network(m.Address, m.world.get().Addresses.ZooKeeper))))
	}
	seen := see()
	return func() {
		if now := see(); now != seen {
			seen = now
			signal(m.changed)
		}
	}
}

// followNetwork calls look soon after addresses or links of the machine have changed, and every so often, until ctx ends.
func followNetwork(ctx context.Context, log *slog.Logger, look func()) error {
	err := heed(ctx, look)
	if ctx.Err() == nil {
		log.Warn("the kernel does not tell of changes of the machine's addresses: they are looked at now and then", "err", err, "every", lookEvery)
	}
	for ctx.Err() == nil {
		look()
		sleep(ctx, lookEvery)
	}
	return context.Cause(ctx)
}

// heed does so as long as the kernel tells of changes.
func heed(ctx context.Context, look func()) error {
	f, err := openNetlink()
	if err != nil {
		return err
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		look()
		if err := f.SetReadDeadline(time.Now().Add(lookEvery)); err != nil {
			return err
		}
		// What it says does not matter: it is time to look. More than fits is lost, and so much the better.
		switch _, err := f.Read(buf); {
		case err == nil || errors.Is(err, unix.ENOBUFS):
			sleep(ctx, 100*time.Millisecond) // changes come in crowds
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
	}
}

func openNetlink() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen to netlink: %w", err)
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}
