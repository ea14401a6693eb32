package ec2_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/internal/mototest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
)

// A door is where EC2 would be. It lets nobody in, and remembers who knocked.
type door struct {
	URL string

	mu    sync.Mutex
	key   string // access key
	token string // of the session
}

var keyID = regexp.MustCompile(`Credential=([^/]*)/`)

func newDoor(t *testing.T) *door {
	d := &door{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if m := keyID.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
			d.key, d.token = m[1], r.Header.Get("X-Amz-Security-Token")
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Response><Errors><Error><Code>AuthFailure</Code><Message>no</Message></Error></Errors></Response>`)
	}))
	t.Cleanup(srv.Close)
	d.URL = srv.URL
	return d
}

// nowhere takes away all that the SDK could find credentials by.
func nowhere(t *testing.T) (home string) {
	home = t.TempDir()
	for k, v := range map[string]string{"HOME": home, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_SHARED_CREDENTIALS_FILE": filepath.Join(home, "credentials"), "AWS_CONFIG_FILE": filepath.Join(home, "config"), "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(k, v)
	}
	return home
}

// metadata is the service that an instance asks about itself, of its second version alone: it answers to those who have a token.
func metadata(t *testing.T, role string, expires time.Time) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const token, path = "a-token", "/latest/meta-data/iam/security-credentials/"
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			fmt.Fprint(w, token)
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == path && role != "":
			fmt.Fprint(w, role)
		case r.URL.Path == path+role && role != "":
			fmt.Fprintf(w, `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIAROLE","SecretAccessKey":"s","Token":"role-token","Expiration":%q}`, expires.UTC().Format(time.RFC3339))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(srv.Close)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", srv.URL)
}

const profiles = `[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = s

[work]
aws_access_key_id = AKIAWORK
aws_secret_access_key = s

[passing]
credential_process = echo '{"Version":1,"AccessKeyId":"ASIAPASSING","SecretAccessKey":"s","SessionToken":"t","Expiration":"2099-01-01T00:00:00Z"}'
`

// Each type of credential, and the places in which the SDK looks by itself, in its order.
func TestWhoWeAre(t *testing.T) {
	access := map[string]string{"access-key": "AKIAGIVEN", "secret-key": "s"}
	temporary := map[string]string{"access-key": "ASIAGIVEN", "secret-key": "s", "session-token": "t"}
	env := map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "s"}
	for name, test := range map[string]struct {
		cred             provider.Credential
		env              map[string]string
		files, role      bool
		key, token, fail string
	}{
		"an access key":                     {cred: provider.Credential{AuthType: ec2.AuthAccessKey, Attributes: access}, env: env, files: true, role: true, key: "AKIAGIVEN"},
		"a temporary access key":            {cred: provider.Credential{AuthType: ec2.AuthAccessKey, Attributes: temporary}, key: "ASIAGIVEN", token: "t"},
		"an access key without its secret":  {cred: provider.Credential{AuthType: ec2.AuthAccessKey, Attributes: map[string]string{"access-key": "x"}}, fail: "attributes access-key and secret-key"},
		"a profile":                         {cred: provider.Credential{AuthType: ec2.AuthProfile, Attributes: map[string]string{"profile": "work"}}, env: env, files: true, key: "AKIAWORK"},
		"a profile of a program":            {cred: provider.Credential{AuthType: ec2.AuthProfile, Attributes: map[string]string{"profile": "passing"}}, files: true, key: "ASIAPASSING", token: "t"},
		"a profile that is not there":       {cred: provider.Credential{AuthType: ec2.AuthProfile, Attributes: map[string]string{"profile": "play"}}, files: true, fail: "play"},
		"a profile without a name":          {cred: provider.Credential{AuthType: ec2.AuthProfile}, fail: "attribute profile"},
		"a role":                            {cred: provider.Credential{AuthType: ec2.AuthInstanceRole}, env: env, files: true, role: true, key: "ASIAROLE", token: "role-token"},
		"a role where there is none":        {cred: provider.Credential{AuthType: ec2.AuthInstanceRole}, env: env, files: true, fail: "no credentials of type \"instance-role\""},
		"by itself, the environment":        {cred: provider.Credential{AuthType: provider.AuthEmpty}, env: env, files: true, role: true, key: "AKIAENV"},
		"by itself, the shared file":        {cred: provider.Credential{AuthType: provider.AuthEmpty}, files: true, role: true, key: "AKIADEFAULT"},
		"by itself, a profile that is set":  {cred: provider.Credential{}, env: map[string]string{"AWS_PROFILE": "work"}, files: true, role: true, key: "AKIAWORK"},
		"by itself, the role":               {cred: provider.Credential{AuthType: provider.AuthEmpty}, role: true, key: "ASIAROLE", token: "role-token"},
		"by itself, where there is nothing": {cred: provider.Credential{AuthType: provider.AuthEmpty}, fail: "grigri add-credential emulated"},
	} {
		t.Run(name, func(t *testing.T) {
			home := nowhere(t)
			for k, v := range test.env {
				t.Setenv(k, v)
			}
			if test.files {
				if err := os.WriteFile(filepath.Join(home, "credentials"), []byte(profiles), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if test.role {
				metadata(t, "machines", time.Now().Add(time.Hour))
			}
			d := newDoor(t)
			p, err := ec2.Open(ec2.Config{Spec: provider.Spec{Cloud: provider.Cloud{Name: "emulated", Type: "ec2", Endpoint: d.URL}, Region: region, Credential: test.cred}})
			if err != nil {
				t.Fatal(err)
			}
			problems, err := p.Check(t.Context())
			if err != nil || len(problems) != 1 {
				t.Fatalf("%+v, %v", problems, err)
			}
			if d.key != test.key || d.token != test.token {
				t.Errorf("it is %q with token %q, want %q with %q", d.key, d.token, test.key, test.token)
			}
			if text := problems[0].What + problems[0].Remedy; !strings.Contains(text, test.fail) {
				t.Errorf("it says %q, want %q", text, test.fail)
			}
		})
	}
}

// What a controller on an instance of its own is given to prove itself with.
func relocated(t *testing.T, s *mototest.Server) {
	home := nowhere(t)
	if err := os.WriteFile(filepath.Join(home, "credentials"), []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	given := map[string]string{"access-key": "AKIAEMULATED", "secret-key": "emulated"}
	as := func(kind string, attributes map[string]string) func(*ec2.Config) {
		return func(c *ec2.Config) {
			c.Spec.Cloud.AuthTypes = []string{"profile"}
			c.Spec.Credential = provider.Credential{Name: "me", AuthType: kind, Attributes: attributes}
		}
	}
	check := func(what string, p *ec2.Provider, kind, key string) {
		t.Helper()
		spec, err := p.Relocate(t.Context(), controller)
		if err != nil || spec.Credential.AuthType != kind || spec.Credential.Attributes["access-key"] != key || spec.Credential.Name == "" {
			t.Errorf("%s: %+v, %v", what, spec.Credential, err)
		}
		if last := spec.Cloud.AuthTypes; len(last) == 0 || last[len(last)-1] != kind {
			t.Errorf("%s: the cloud has the types %v", what, last)
		}
	}
	in := start(t, open(t, s), "0", small)
	check("an access key", open(t, s, as(ec2.AuthAccessKey, given)), ec2.AuthAccessKey, "AKIAEMULATED")
	check("a profile of this host", open(t, s, as(ec2.AuthProfile, map[string]string{"profile": "work"})), ec2.AuthAccessKey, "AKIAWORK")
	check("what this host has", open(t, s, as(provider.AuthEmpty, nil), func(c *ec2.Config) { c.Spec.Credential.Name = "" }), ec2.AuthAccessKey, "AKIADEFAULT")
	if _, err := open(t, s, as(ec2.AuthProfile, map[string]string{"profile": "passing"})).Relocate(t.Context(), controller); err == nil ||
		!strings.Contains(err.Error(), "2099-01-01T00:00:00Z") || !strings.Contains(err.Error(), "--bootstrap-constraints instance-role=") {
		t.Errorf("keys that end: %v", err)
	}
	metadata(t, "machines", time.Now().Add(time.Hour))
	role := open(t, s, as(ec2.AuthInstanceRole, nil))
	if _, err := role.Relocate(t.Context(), controller); err == nil || !strings.Contains(err.Error(), "--bootstrap-constraints instance-role=") {
		t.Errorf("the role of another instance: %v", err)
	}
	stop(t, open(t, s), in.ID)

	iam := s.InstanceProfile(t, "machines")
	in = start(t, open(t, s), "0", small+" instance-role=machines")
	if got := find(t, s, in.ID); got.IamInstanceProfile == nil || aws.ToString(got.IamInstanceProfile.Arn) != iam {
		t.Errorf("its profile is %+v, want %s", got.IamInstanceProfile, iam)
	}
	check("a role of its own, for who has one", role, ec2.AuthInstanceRole, "")
	check("a role of its own, for who has a key", open(t, s, as(ec2.AuthAccessKey, given)), ec2.AuthInstanceRole, "")

	// Somebody ends the instance in Amazon's console: what is left of it goes with the controller.
	if _, err := raw(s).TerminateInstances(t.Context(), &sdk.TerminateInstancesInput{InstanceIds: []string{string(in.ID)}}); err != nil {
		t.Fatal(err)
	}
	if n := len(ourGroups(t, s)); n != 2 {
		t.Errorf("there are %d groups", n)
	}
	for range 2 {
		if err := role.Forget(t.Context(), controller); err != nil {
			t.Error(err)
		}
	}
	if groups := ourGroups(t, s); len(groups) != 0 {
		t.Errorf("groups are left: %v", groups)
	}
}

// The default VPC is gone, as in accounts that somebody has cleaned up. It runs in a region of its own.
func noDefault(t *testing.T, s *mototest.Server) {
	const region = "eu-north-1"
	client := sdk.New(raw(s).Options(), func(o *sdk.Options) { o.Region = region })
	vpcs, err := client.DescribeVpcs(t.Context(), &sdk.DescribeVpcsInput{})
	if err != nil || len(vpcs.Vpcs) != 1 {
		t.Fatalf("%+v, %v", vpcs, err)
	}
	subnets, err := client.DescribeSubnets(t.Context(), &sdk.DescribeSubnetsInput{Filters: []types.Filter{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range subnets.Subnets {
		if _, err := client.DeleteSubnet(t.Context(), &sdk.DeleteSubnetInput{SubnetId: sub.SubnetId}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.DeleteVpc(t.Context(), &sdk.DeleteVpcInput{VpcId: vpcs.Vpcs[0].VpcId}); err != nil {
		t.Fatal(err)
	}
	problems, err := open(t, s, func(c *ec2.Config) { c.Spec.Region = region }).Check(t.Context())
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].What, "region eu-north-1 has no default VPC: name one with the cloud's config vpc-id") || problems[0].Remedy == "" {
		t.Errorf("%+v, %v", problems, err)
	}
}
