// Package tool is a hook tool as the hook sees it: it sends what it was called with to the unit's agent, and does
// what the agent answers. Charms call tools dozens of times a hook, so it starts as fast as a Go program can: it
// uses system calls and nothing else, not even package os, whose start alone takes a tenth of the time.
package tool

import (
	"syscall"

	"github.com/grigri/grigri/hooks/wire"
)

// A failed is a text for standard error.
type failed string

func (f failed) Error() string { return string(f) }

// brokenPipe is the exit status of a program that was ended by SIGPIPE, as shells tell it.
const brokenPipe = 128 + int(syscall.SIGPIPE)

// Main runs the tool that args[0] names and returns its exit status.
func Main(args []string) int {
	resp, err := call(args)
	if err != nil {
		resp = wire.Response{Code: 1, Stderr: []byte("ERROR " + err.Error() + "\n")}
	}
	_ = write(2, resp.Stderr)
	switch err := output(resp); err {
	case nil:
		return resp.Code
	case syscall.EPIPE:
		return brokenPipe
	default:
		_ = write(2, []byte("ERROR "+err.Error()+"\n"))
		return 1
	}
}

// Args is the command line of this process.
func Args() ([]string, error) {
	fd, err := open("/proc/self/cmdline", syscall.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	text, err := readAll(fd)
	if err != nil {
		return nil, err
	}
	var args []string
	for start, i := 0, 0; i < len(text); i++ {
		if text[i] == 0 {
			args = append(args, string(text[start:i]))
			start = i + 1
		}
	}
	return args, nil
}

// call asks the agent. The agent may ask for files before it answers; standard input is not touched otherwise.
func call(args []string) (wire.Response, error) {
	if len(args) == 0 {
		return wire.Response{}, failed("called without a name")
	}
	token, ok := syscall.Getenv("JUJU_CONTEXT_ID")
	if !ok || token == "" {
		return wire.Response{}, failed("JUJU_CONTEXT_ID not set")
	}
	path, ok := syscall.Getenv("JUJU_AGENT_SOCKET_ADDRESS")
	if !ok || path == "" {
		return wire.Response{}, failed("JUJU_AGENT_SOCKET_ADDRESS not set")
	}
	if network, _ := syscall.Getenv("JUJU_AGENT_SOCKET_NETWORK"); network != "" && network != "unix" {
		return wire.Response{}, failed("JUJU_AGENT_SOCKET_NETWORK is " + network + ": only unix is known")
	}
	fd, err := connect(path)
	if err != nil {
		return wire.Response{}, failed("cannot reach the unit's agent at " + path + ": " + err.Error())
	}
	defer syscall.Close(fd)
	req := wire.Request{Token: token, Tool: base(args[0]), Args: args[1:]}
	for {
		resp, err := exchange(fd, req)
		if err != nil || len(resp.Need) == 0 {
			return resp, err
		}
		for _, name := range resp.Need {
			data, err := input(name)
			if err != nil {
				return wire.Response{}, err
			}
			req.Inputs = append(req.Inputs, wire.Input{Name: name, Data: data})
		}
	}
}

func exchange(fd int, req wire.Request) (wire.Response, error) {
	frame := req.Append(nil)
	if len(frame) > wire.MaxFrame {
		return wire.Response{}, failed("too much input for " + req.Tool)
	}
	// An agent that refuses may answer before it has read everything: the answer is what counts.
	sent := write(fd, frame)
	var header [wire.Header]byte
	if err := readFull(fd, header[:]); err != nil {
		if sent != nil {
			err = sent
		}
		return wire.Response{}, failed("the unit's agent has not answered: " + err.Error())
	}
	n, err := wire.Length(header)
	if err != nil {
		return wire.Response{}, err
	}
	body := make([]byte, n)
	if err := readFull(fd, body); err != nil {
		return wire.Response{}, failed("the unit's agent has not finished its answer: " + err.Error())
	}
	return wire.ParseResponse(body)
}

// input reads one of our own files; the agent may be in another place and may not be allowed to.
func input(name string) ([]byte, error) {
	if name == "-" {
		return readAll(0)
	}
	fd, err := open(name, syscall.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	data, err := readAll(fd)
	if err != nil {
		return nil, failed("read " + name + ": " + err.Error())
	}
	return data, nil
}

// output writes what the tool prints.
func output(resp wire.Response) error {
	if resp.Output == "" {
		return write(1, resp.Stdout)
	}
	fd, err := open(resp.Output, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := write(fd, resp.Stdout); err != nil {
		return failed("write " + resp.Output + ": " + err.Error())
	}
	return nil
}

func base(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}
