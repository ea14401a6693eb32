// Package wire is what a hook tool and its agent say to each other: one Request, one Response, each in a frame,
// over a stream. It is pure, and imports next to nothing, because every start of a tool pays for it.
package wire

import "errors"

// ErrFrame is the error of everything that is not what a peer of ours would have sent.
var ErrFrame = errors.New("malformed message between hook tool and agent")

// Header is the length of a frame's header; it holds the length of what follows.
const Header = 4

// MaxFrame is the largest frame that is sent or accepted, without its header.
const MaxFrame = 64 << 20

// A Request is one call of one tool.
type Request struct {
	Token  string // names the running hook, and proves that the caller is in it: JUJU_CONTEXT_ID
	Tool   string // the name that it was called by
	Args   []string
	Inputs []Input // what the Response before asked for
}

// An Input is the content of a file of the caller; Name "-" is its standard input.
type Input struct {
	Name string
	Data []byte
}

// A Response is what the tool does before it ends. If Need is not empty, it has not been called yet:
// the same Request is to be sent again over the same stream, with these files as well.
type Response struct {
	Code   int // exit status, 0 to 255
	Stdout []byte
	Stderr []byte
	Output string // the file that Stdout goes to; empty for standard output
	Need   []string
}

// Append adds the request as a frame to b.
func (r Request) Append(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = appendText(b, r.Token)
	b = appendText(b, r.Tool)
	b = appendList(b, r.Args)
	b = appendNumber(b, len(r.Inputs))
	for _, in := range r.Inputs {
		b = appendText(b, in.Name)
		b = appendText(b, in.Data)
	}
	return seal(b, start)
}

// Append adds the response as a frame to b.
func (r Response) Append(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = appendNumber(b, r.Code)
	b = appendText(b, r.Stdout)
	b = appendText(b, r.Stderr)
	b = appendText(b, r.Output)
	b = appendList(b, r.Need)
	return seal(b, start)
}

// Length is the length of the frame whose header is h, without the header. It returns ErrFrame if it is over MaxFrame.
func Length(h [Header]byte) (int, error) {
	n := int(h[0])<<24 | int(h[1])<<16 | int(h[2])<<8 | int(h[3])
	if n > MaxFrame {
		return 0, ErrFrame
	}
	return n, nil
}

// ParseRequest reads a frame without its header. The request's bytes are those of frame.
func ParseRequest(frame []byte) (Request, error) {
	p := parser{rest: frame}
	r := Request{Token: string(p.bytes()), Tool: string(p.bytes()), Args: p.list()}
	for range p.number() {
		if p.bad {
			break
		}
		r.Inputs = append(r.Inputs, Input{Name: string(p.bytes()), Data: p.bytes()})
	}
	return r, p.end()
}

// ParseResponse reads a frame without its header. The response's bytes are those of frame.
func ParseResponse(frame []byte) (Response, error) {
	p := parser{rest: frame}
	r := Response{Code: p.number(), Stdout: p.bytes(), Stderr: p.bytes(), Output: string(p.bytes()), Need: p.list()}
	return r, p.end()
}

func seal(b []byte, start int) []byte {
	n := len(b) - start - Header
	b[start], b[start+1], b[start+2], b[start+3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return b
}

func appendNumber(b []byte, n int) []byte {
	return append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(appendNumber(b, len(s)), s...)
}

func appendList(b []byte, list []string) []byte {
	b = appendNumber(b, len(list))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// A parser takes values off the front of a frame. Once bad it gives zero values.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) number() int {
	if p.bad || len(p.rest) < 4 {
		p.bad = true
		return 0
	}
	n := int(p.rest[0])<<24 | int(p.rest[1])<<16 | int(p.rest[2])<<8 | int(p.rest[3])
	p.rest = p.rest[4:]
	return n
}

func (p *parser) bytes() []byte {
	n := p.number()
	if n > len(p.rest) {
		p.bad = true
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) list() []string {
	var list []string
	for range p.number() {
		if p.bad {
			break
		}
		list = append(list, string(p.bytes()))
	}
	return list
}

func (p *parser) end() error {
	if p.bad || len(p.rest) > 0 {
		return ErrFrame
	}
	return nil
}
