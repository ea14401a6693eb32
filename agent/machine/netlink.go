package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// followNetwork calls changed soon after addresses or links of the machine have changed, until ctx ends.
func followNetwork(ctx context.Context, log *slog.Logger, changed func()) error {
	f, err := openNetlink()
	if err != nil {
		log.Warn("changes of the machine's addresses are not noticed", "err", err)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		// What it says does not matter: it is time to look. More than fits is lost, and so much the better.
		if _, err := f.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			log.Warn("changes of the machine's addresses are no longer noticed", "err", err)
			<-ctx.Done()
			return context.Cause(ctx)
		}
		sleep(ctx, 100*time.Millisecond) // changes come in crowds
		changed()
	}
}

func openNetlink() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	const groups = 1 | 1<<4 | 1<<8 // RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen to netlink: %w", err)
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}
