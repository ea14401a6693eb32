package wire

import (
	"bytes"
	"reflect"
	"testing"
)

func frame(t testing.TB, b []byte) []byte {
	t.Helper()
	n, err := Length([Header]byte(b))
	if err != nil || n != len(b)-Header {
		t.Fatalf("Length = %d, %v; the frame has %d bytes", n, err, len(b)-Header)
	}
	return b[Header:]
}

func TestRoundTrip(t *testing.T) {
	req := Request{Token: "web/0-install-00", Tool: "relation-set", Args: []string{"--file", "-", "", "a=ü"},
		Inputs: []Input{{"-", []byte("a: 1\n")}, {"/x", []byte{}}}}
	got, err := ParseRequest(frame(t, req.Append(nil)))
	if err != nil || !reflect.DeepEqual(got, req) {
		t.Errorf("got %+v, %v; want %+v", got, err, req)
	}
	resp := Response{Code: 2, Stdout: []byte("out\n"), Stderr: []byte("ERROR x\n"), Output: "file", Need: []string{"-"}}
	back, err := ParseResponse(frame(t, resp.Append([]byte("before"))[len("before"):]))
	if err != nil || !reflect.DeepEqual(back, resp) {
		t.Errorf("got %+v, %v; want %+v", back, err, resp)
	}
}

func TestTooLong(t *testing.T) {
	if _, err := Length([Header]byte{0xff, 0, 0, 0}); err == nil {
		t.Error("a frame of 4 GB was accepted")
	}
}

// What is accepted is what we would have sent, and nothing makes the parser panic or allocate by a lie.
func FuzzRequest(f *testing.F) {
	f.Add(Request{Token: "t", Tool: "x", Args: []string{"a"}}.Append(nil)[Header:])
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := ParseRequest(data)
		if err == nil && !bytes.Equal(req.Append(nil)[Header:], data) {
			t.Errorf("%x came back as %x", data, req.Append(nil)[Header:])
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add(Response{Code: 1, Stdout: []byte("x"), Need: []string{"-"}}.Append(nil)[Header:])
	f.Fuzz(func(t *testing.T, data []byte) {
		resp, err := ParseResponse(data)
		if err == nil && !bytes.Equal(resp.Append(nil)[Header:], data) {
			t.Errorf("%x came back as %x", data, resp.Append(nil)[Header:])
		}
	})
}
