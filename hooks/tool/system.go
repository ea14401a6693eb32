package tool

import (
	"syscall"

	"github.com/grigri/grigri/hooks/wire"
)

const (
	// maxAddress is the longest path that fits into the address of a unix socket.
	maxAddress = 107
	// patience is how many seconds an agent may take to accept a call. Its answer may take longer: some tools wait for the network.
	patience = 30
	// oPath opens a directory as a place only (O_PATH).
	oPath = 0x200000
)

// connect connects to the socket at path. One that is too long for an address is reached through its directory,
// which the kernel offers under a short name while it is open.
func connect(path string) (int, error) {
	address := path
	if len(path) > maxAddress {
		name := base(path)
		dir, err := open(path[:len(path)-len(name)], oPath|syscall.O_DIRECTORY)
		if err != nil {
			return 0, err
		}
		defer syscall.Close(dir)
		address = "/proc/self/fd/" + decimal(dir) + "/" + name
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &syscall.Timeval{Sec: patience})
	err = again(func() error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: address}) })
	if err != nil {
		syscall.Close(fd)
		return 0, err
	}
	return fd, nil
}

func open(path string, mode int) (fd int, err error) {
	err = again(func() error {
		fd, err = syscall.Open(path, mode|syscall.O_CLOEXEC, 0o666)
		return err
	})
	if err != nil {
		return 0, failed("open " + path + ": " + err.Error())
	}
	return fd, nil
}

func write(fd int, b []byte) error {
	for len(b) > 0 {
		var n int
		err := again(func() (err error) { n, err = syscall.Write(fd, b); return err })
		if err == syscall.EAGAIN && fd <= 2 {
			_, err = syscall.Select(fd+1, nil, only(fd), nil, nil)
			n = 0
		}
		if err != nil && err != syscall.EINTR {
			return err
		}
		b = b[n:]
	}
	return nil
}

// read reads some bytes; none means the end.
func read(fd int, b []byte) (n int, err error) {
	for {
		err = again(func() error { n, err = syscall.Read(fd, b); return err })
		if err != syscall.EAGAIN || fd > 2 {
			return n, err
		}
		if _, err := syscall.Select(fd+1, only(fd), nil, nil, nil); err != nil && err != syscall.EINTR {
			return 0, err
		}
	}
}

// only is the set of one standard stream. Whoever we share it with may have set it to refuse instead of wait.
func only(fd int) *syscall.FdSet {
	var set syscall.FdSet
	set.Bits[0] = 1 << fd
	return &set
}

func readFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := read(fd, b)
		if err != nil {
			return err
		}
		if n == 0 {
			return failed("it has hung up")
		}
		b = b[n:]
	}
	return nil
}

func readAll(fd int) ([]byte, error) {
	b := make([]byte, 0, 4096)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := read(fd, b[len(b):cap(b)])
		if err != nil || n == 0 {
			return b, err
		}
		b = b[:len(b)+n]
		if len(b) > wire.MaxFrame {
			return nil, failed("too much input")
		}
	}
}

// again does it until no signal interrupts it.
func again(do func() error) error {
	for {
		if err := do(); err != syscall.EINTR {
			return err
		}
	}
}

func decimal(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return decimal(n/10) + decimal(n%10)
}
