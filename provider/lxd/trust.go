package lxd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// A token is what "lxc config trust add" prints: who has it may have one certificate trusted.
type token struct {
	Fingerprint string   `json:"fingerprint"` // of the server's certificate
	Addresses   []string `json:"addresses"`
}

func readToken(text string) (token, error) {
	var t token
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	if err != nil || t.Fingerprint == "" {
		return t, fmt.Errorf("the trust token is not one that \"lxc config trust add\" has printed")
	}
	return t, nil
}

// known tells how the server is recognised.
func known(args *client.ConnectionArgs, spec provider.Spec) error {
	cred := spec.Credential.Attributes
	args.TLSClientCert, args.TLSClientKey = cred[attrCert], cred[attrKey]
	switch {
	case cred[attrServer] != "":
		args.TLSServerCert = cred[attrServer]
	case cred[attrToken] != "":
		t, err := readToken(cred[attrToken])
		if err != nil {
			return err
		}
		args.Fingerprint = t.Fingerprint
	case len(spec.Cloud.CACertificates) > 0:
		args.TLSCA = strings.Join(spec.Cloud.CACertificates, "\n")
	default:
		return fmt.Errorf("nothing is known by which LXD at %s could be recognised: give credential %q the attribute %s, or the cloud ca-certificates", args.Endpoint, spec.Credential.Name, attrServer)
	}
	return nil
}

// Finish makes of a credential with a trust token one with a certificate that LXD trusts. Any other it returns as it is.
// A token is good once: who calls this keeps the result.
func Finish(ctx context.Context, spec provider.Spec) (provider.Credential, error) {
	cred := spec.Credential
	if cred.AuthType != AuthInteractive {
		return cred, nil
	}
	fail := func(err error) (provider.Credential, error) {
		return cred, fmt.Errorf("have LXD trust credential %q: %w", cred.Name, err)
	}
	cert, key, err := newCertificate()
	if err != nil {
		return fail(err)
	}
	spec.Credential = provider.Credential{Name: cred.Name, AuthType: AuthCertificate, Attributes: map[string]string{attrCert: cert, attrKey: key, attrToken: cred.Attributes[attrToken]}}
	p, err := Open(Config{Spec: spec})
	if err != nil {
		return fail(err)
	}
	defer p.Close()
	if local(p.endpoint()) {
		return provider.Credential{Name: cred.Name, AuthType: provider.AuthEmpty}, nil
	}
	about, err := p.describe(ctx)
	if err != nil {
		return fail(err)
	}
	delete(spec.Credential.Attributes, attrToken)
	spec.Credential.Attributes[attrServer] = about.Environment.Certificate
	return spec.Credential, nil
}

const certificateLife = 10 * 365 * 24 * time.Hour

// newCertificate is a client's certificate and its key, in PEM.
func newCertificate() (cert, key string, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{Organization: []string{"grigri"}, CommonName: "grigri"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), nil
}

// Relocate implements provider.Relocator: over HTTPS, with a certificate made for it, which LXD is told to trust. If LXD does not listen
// for HTTPS it is told to, on all addresses and its usual port; who has no certificate that it trusts gets nothing there.
func (p *Provider) Relocate(ctx context.Context, controller string) (provider.Spec, error) {
	spec := p.Spec
	if !local(p.endpoint()) {
		return spec, nil
	}
	address, about, err := p.listening(ctx, controller)
	if err != nil {
		return spec, fmt.Errorf("open LXD to a controller on one of its instances: %w", classify(err))
	}
	cert, key, err := newCertificate()
	if err != nil {
		return spec, err
	}
	block, _ := pem.Decode([]byte(cert))
	if err := p.client.CreateCertificate(ctx, client.CertificatesPost{Type: "client", Name: relocated(controller), Certificate: base64.StdEncoding.EncodeToString(block.Bytes)}); err != nil {
		return spec, fmt.Errorf("have LXD trust the controller: %w", classify(err))
	}
	spec.Cloud.Endpoint = "https://" + address
	spec.Cloud.Regions = nil
	for _, r := range p.Spec.Cloud.Regions {
		spec.Cloud.Regions = append(spec.Cloud.Regions, provider.Region{Name: r.Name})
	}
	name := p.Spec.Credential.Name
	if name == "" {
		name = "grigri"
	}
	spec.Credential = provider.Credential{Name: name, AuthType: AuthCertificate, Attributes: map[string]string{attrCert: cert, attrKey: key, attrServer: about.Environment.Certificate}}
	return spec, nil
}

// Forget implements provider.Relocator: LXD no longer trusts what Relocate has made, and the bridge goes, which an interrupted start may
// have left without an instance. What LXD was still making for such a start has come by now, or that is an error.
func (p *Provider) Forget(ctx context.Context, controller string) error {
	s, err := p.server(ctx)
	if err != nil {
		return err
	}
	if err := p.forgotten(ctx, s, controller); err != nil {
		return fmt.Errorf("remove what is left of the controller in LXD: %w", classify(err))
	}
	if !local(p.endpoint()) {
		return nil
	}
	all, err := s.GetCertificates(ctx)
	for _, c := range all {
		if c.Name != relocated(controller) {
			continue
		}
		if derr := s.DeleteCertificate(ctx, c.Fingerprint); derr != nil && !client.IsNotFound(derr) {
			err = derr
		}
	}
	if err != nil {
		return fmt.Errorf("have LXD no longer trust the controller: %w", classify(err))
	}
	return nil
}

// forgotten removes the bridge of a controller that has no machines.
func (p *Provider) forgotten(ctx context.Context, s *client.InstanceServer, controller string) error {
	ops, err := s.GetOperations(ctx)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, mostSettle)
	defer cancel()
	for _, o := range ops {
		if o.StatusCode < 200 && o.Description == "Creating instance" {
			s.RetrieveOperation(o.ID).WaitContext(waiting) // whatever has come of it
		}
	}
	all, err := p.List(ctx, controller)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		return transient("instance %s has just been made", all[0].ID)
	}
	if err := p.leave(ctx, s, controller); err != nil {
		return err
	}
	network, _, err := s.GetNetwork(ctx, p.bridge(controller))
	if client.IsNotFound(err) {
		return nil
	}
	if err == nil && len(network.UsedBy) == 0 { // it is in the middle of being made, or of going
		err = transient("network %s is still there", network.Name)
	}
	return err
}

// relocated is the name under which LXD trusts a controller on one of its instances.
func relocated(controller string) string { return "grigri-" + controller }

const usualPort = "8443"

// listening is where an instance reaches LXD.
func (p *Provider) listening(ctx context.Context, controller string) (string, *client.Server, error) {
	s, err := p.server(ctx)
	if err != nil {
		return "", nil, err
	}
	about, _, err := s.GetServer(ctx)
	if err != nil {
		return "", nil, err
	}
	listen, _ := about.Config["core.https_address"].(string)
	if listen == "" {
		listen = "[::]:" + usualPort
		p.Log.Info("LXD is told to listen for HTTPS", "address", listen)
		if err := s.PatchServer(ctx, map[string]any{"core.https_address": listen}); err != nil {
			return "", nil, err
		}
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		host, port = strings.Trim(listen, "[]"), usualPort
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified():
		gateway, err := p.gateway(ctx, s, controller)
		return net.JoinHostPort(gateway, port), about, err
	case err == nil && ip.IsLoopback():
		return "", nil, fmt.Errorf("it listens for HTTPS on %s alone, where no instance reaches it: set core.https_address to another address", listen)
	}
	return net.JoinHostPort(host, port), about, nil
}

// gateway is the address of LXD's host in the network of the machines.
func (p *Provider) gateway(ctx context.Context, s *client.InstanceServer, controller string) (string, error) {
	name := p.settings.network
	if name == "" {
		name = p.bridge(controller)
		if _, _, err := s.GetNetwork(ctx, name); client.IsNotFound(err) {
			if err := p.build(ctx, s, controller, name); err != nil && !exists(err) {
				return "", err
			}
		}
	}
	state, err := s.GetNetworkState(ctx, name)
	if err != nil {
		return "", err
	}
	for _, a := range state.Addresses {
		if a.Family == "inet" && a.Scope == "global" {
			return a.Address, nil
		}
	}
	return "", fmt.Errorf("LXD's host has no address in network %s: set core.https_address to one that instances reach", name)
}

func (p *Provider) endpoint() string {
	if e := p.Spec.Endpoint(); e != "" {
		return e
	}
	return socket()
}
