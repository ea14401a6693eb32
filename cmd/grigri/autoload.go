package main

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/provider"
)

func (c *cli) autoloadCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "autoload-credentials [type]", Short: "Look for credentials in the environment and in the files of other programs.", Args: argCount(0, 1, ""),
		Long: "Look for credentials of the clouds where their own programs keep them. For AWS: the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\nand the file ~/.aws/credentials; what is found is kept by this client under the name of the profile. For LXD elsewhere: the certificate of the program lxc,\nfor each cloud whose endpoint is one of its remotes, under the remote's name. LXD on this host asks for none."}
	sideFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		kind := ""
		if len(args) == 1 {
			kind = args[0]
		}
		if kind != "" && kind != "ec2" && kind != "lxd" {
			c.infof("No credentials of type %q can be looked for: those of other clouds are made with add-credential, or need none.", kind)
			return nil
		}
		var added []string
		err := c.inBook(func(b *book) error {
			clouds, _, err := b.clientClouds()
			if err != nil {
				return err
			}
			put := func(cloud string, one provider.Credential) {
				b.credentialsFor(cloud).put(one)
				added = append(added, fmt.Sprintf("Credential %q added for cloud %q on this client.", one.Name, cloud))
			}
			if kind != "lxd" {
				found, err := awsCredentials()
				if err != nil {
					return err
				}
				if _, ok := clouds["aws"]; !ok && len(found) > 0 {
					return fmt.Errorf("this client knows no cloud \"aws\" that they could be for")
				}
				for _, one := range found {
					put("aws", one)
				}
			}
			if kind != "ec2" {
				found, err := lxcCredentials(clouds)
				if err != nil {
					return err
				}
				for _, cloud := range slices.Sorted(maps.Keys(found)) {
					put(cloud, found[cloud])
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, line := range added {
			c.infof("%s", line)
		}
		if len(added) == 0 {
			c.infof("No cloud credentials found.")
		}
		return nil
	}
	return cmd
}

// awsCredentials is what the environment and the shared file hold.
func awsCredentials() ([]provider.Credential, error) {
	var out []provider.Credential
	key := func(name, id, secret, token string) {
		if id == "" || secret == "" {
			return
		}
		one := provider.Credential{Name: name, AuthType: "access-key", Attributes: map[string]string{"access-key": id, "secret-key": secret}}
		if token != "" {
			one.Attributes["session-token"] = token
		}
		out = append(out, one)
	}
	key("environment", os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN"))
	path := os.Getenv("AWS_SHARED_CREDENTIALS_FILE")
	if home, err := os.UserHomeDir(); path == "" && err == nil {
		path = filepath.Join(home, ".aws", "credentials")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return out, nil // there need not be one
	}
	profile, values := "", map[string]string{}
	flush := func() {
		key(profile, values["aws_access_key_id"], values["aws_secret_access_key"], values["aws_session_token"])
		clear(values)
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			flush()
			profile = strings.TrimSpace(strings.Trim(line, "[]"))
			continue
		}
		if k, v, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			values[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	flush()
	return out, nil
}
