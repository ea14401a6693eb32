// Package ec2 makes machines in Amazon's EC2, and in what speaks its API.
//
// What is ours there is known by its tags alone; nothing is kept on our side. A machine has one instance, which is in two security
// groups: one of the model, whose members reach one another, and one of its own, where ports are opened to the world.
package ec2

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/provider"
)

// How one proves himself to EC2. With provider.AuthEmpty the SDK looks where it looks by itself: environment, shared files, web identity, role.
const (
	AuthAccessKey    = "access-key"    // attributes access-key, secret-key, and session-token where there is one
	AuthProfile      = "profile"       // attribute profile: of the shared files that Amazon's tools use, on the controller's host
	AuthInstanceRole = "instance-role" // the role of the instance that the controller runs on
)

// AuthTypes is all of them, the usual one first.
func AuthTypes() []string {
	return []string{AuthAccessKey, AuthInstanceRole, AuthProfile, provider.AuthEmpty}
}

// Config is what a Provider needs. Zero durations are replaced by those that suit the real EC2.
type Config struct {
	Spec    provider.Spec
	Arch    string        // of machines for which nothing is said: that of the agents there are; ours if empty
	Timeout time.Duration // of one request
	Poll    time.Duration // how soon what is waited for is looked at again, at first
	Settle  time.Duration // how long EC2 may take until it shows what it has made
	Log     *slog.Logger
}

// A Provider is a provider.Provider, Firewaller, Volumer, Storer, Checker, Sheller and Relocator.
type Provider struct {
	Config
	settings settings

	mu     sync.Mutex
	client *ec2.Client
	swept  sweeping

	images    memo[imageKey, image]
	network   memo[string, network]
	catalogue memo[catalogueKey, []machineType]
	types     memo[string, []machineType] // by name
	offers    memo[string, map[string]map[string]bool]
	groups    memo[groupKey, string]
	machines  batcher[machineKey, []types.Instance]
	byID      batcher[provider.InstanceID, types.Instance]
}

// Open returns the provider of a region. It reaches no one.
func Open(c Config) (*Provider, error) {
	fail := func(format string, args ...any) (*Provider, error) {
		return nil, fmt.Errorf("open cloud %q: %s", c.Spec.Cloud.Name, fmt.Sprintf(format, args...))
	}
	if c.Spec.Region == "" && len(c.Spec.Cloud.Regions) > 0 {
		c.Spec.Region = c.Spec.Cloud.Regions[0].Name
	}
	if c.Spec.Region == "" {
		return fail("it needs a region, such as us-east-1")
	}
	if a := c.Spec.Credential.AuthType; a != "" && !slices.Contains(AuthTypes(), a) {
		return fail("it has no credentials of type %q: the types are %s", a, strings.Join(AuthTypes(), ", "))
	}
	s, err := readSettings(c.Spec.Cloud.Config)
	if err != nil {
		return fail("%v", err)
	}
	c.Arch = cmp.Or(c.Arch, runtime.GOARCH)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.Poll = cmp.Or(c.Poll, time.Second)
	c.Settle = cmp.Or(c.Settle, time.Minute)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	p := &Provider{Config: c, settings: s}
	p.machines = batcher[machineKey, []types.Instance]{window: 20 * time.Millisecond, most: 100, fetch: p.fetchMachines}
	p.byID = batcher[provider.InstanceID, types.Instance]{window: min(c.Poll/2, 250*time.Millisecond), most: 200, fetch: p.fetchInstances}
	return p, nil
}

// api is the client, made when it is first needed.
func (p *Provider) api(ctx context.Context) (*ec2.Client, error) {
	p.mu.Lock()
	client := p.client
	p.mu.Unlock()
	if client != nil {
		return client, nil
	}
	conf, err := p.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("cloud %q: %w", p.Spec.Cloud.Name, err)
	}
	if _, err := conf.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("cloud %q: there are no credentials of type %q: %w", p.Spec.Cloud.Name, cmp.Or(p.Spec.Credential.AuthType, provider.AuthEmpty), err)
	}
	client = ec2.NewFromConfig(conf, func(o *ec2.Options) { o.APIOptions = append(o.APIOptions, onlyEC2) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client == nil {
		p.client = client
	}
	return p.client, nil
}

// How often a request is tried in all, and how long it waits at most in between. Adaptive retry also slows down all requests
// while EC2 says that there are too many.
const (
	attempts    = 7
	mostBackoff = 8 * time.Second
)

func (p *Provider) load(ctx context.Context) (aws.Config, error) {
	client, err := p.httpClient()
	if err != nil {
		return aws.Config{}, err
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion(p.Spec.Region),
		config.WithHTTPClient(client),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
				o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, mostBackoff })
			})
		}),
	}
	if e := p.Spec.Endpoint(); e != "" {
		options = append(options, config.WithBaseEndpoint(e))
	}
	attr := p.Spec.Credential.Attributes
	switch p.Spec.Credential.AuthType {
	case AuthAccessKey:
		if attr["access-key"] == "" || attr["secret-key"] == "" {
			return aws.Config{}, errors.New("a credential of type access-key has the attributes access-key and secret-key")
		}
		options = append(options, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(attr["access-key"], attr["secret-key"], attr["session-token"])))
	case AuthProfile:
		if attr["profile"] == "" {
			return aws.Config{}, errors.New("a credential of type profile has the attribute profile")
		}
		options = append(options, config.WithSharedConfigProfile(attr["profile"]))
	}
	conf, err := config.LoadDefaultConfig(ctx, options...)
	if err == nil && p.Spec.Credential.AuthType == AuthInstanceRole {
		conf.Credentials = aws.NewCredentialsCache(ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = imds.NewFromConfig(conf) }))
	}
	return conf, err
}

func (p *Provider) httpClient() (*awshttp.BuildableClient, error) {
	client := awshttp.NewBuildableClient().WithTimeout(p.Timeout)
	if len(p.Spec.Cloud.CACertificates) == 0 {
		return client, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, ca := range p.Spec.Cloud.CACertificates {
		if !pool.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("one of its CA certificates is no certificate in PEM")
		}
	}
	return client.WithTransportOptions(func(t *http.Transport) {
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}), nil
}

// Shell implements provider.Sheller: machines are reached with ssh.
func (p *Provider) Shell(ctx context.Context, id provider.InstanceID) (provider.Shell, error) {
	if _, err := p.instance(ctx, id); err != nil {
		return provider.Shell{}, fmt.Errorf("open a shell on instance %s: %w", id, err)
	}
	return provider.Shell{SSH: true}, nil
}
