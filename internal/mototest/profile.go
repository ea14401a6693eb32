package mototest

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var arn = regexp.MustCompile(`<Arn>(arn:[^<]*:instance-profile/[^<]*)</Arn>`)

// InstanceProfile makes one, with no role in it, and returns its ARN.
func (s *Server) InstanceProfile(t *testing.T, name string) string {
	t.Helper()
	form := url.Values{"Action": {"CreateInstanceProfile"}, "Version": {"2010-05-08"}, "InstanceProfileName": {name}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Direct, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAEMULATED/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := arn.FindSubmatch(body)
	if m == nil {
		t.Fatalf("make instance profile %s: %s: %s", name, resp.Status, body)
	}
	return string(m[1])
}
