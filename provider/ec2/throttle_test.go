package ec2_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
)

// When EC2 says that there are too many requests, all that follow are slowed down, and not only that one made again: the SDK's adaptive
// retry. By the standard one these would be over in no time.
func TestRequestsAreSlowerAfterAThrottle(t *testing.T) {
	t.Parallel()
	var served atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if served.Add(1) == 10 {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.</Message></Error></Errors></Response>`)
			return
		}
		fmt.Fprint(w, nothing)
	}))
	t.Cleanup(srv.Close)
	p, err := ec2.Open(ec2.Config{Spec: provider.Spec{Cloud: provider.Cloud{Name: "c", Type: "ec2", Endpoint: srv.URL}, Region: region,
		Credential: provider.Credential{AuthType: ec2.AuthAccessKey, Attributes: map[string]string{"access-key": "A", "secret-key": "s"}}}})
	if err != nil {
		t.Fatal(err)
	}
	list := func(n int) time.Duration {
		t.Helper()
		begin := time.Now()
		for range n {
			if _, err := p.List(t.Context(), controller); err != nil {
				t.Fatal(err)
			}
		}
		return time.Since(begin)
	}
	before := list(8)
	list(1) // is throttled, and made again
	if after := list(4); after < 500*time.Millisecond {
		t.Errorf("before the throttle eight requests took %v, and after it four take %v", before, after)
	}
	if n := served.Load(); n < 14 {
		t.Errorf("%d requests came: this test sees nothing", n)
	}
}
