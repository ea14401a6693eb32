package ec2

import "github.com/grigri/grigri/provider"

// Cloud is Amazon's own, by its regions. Those that an account must opt in to are there as well; others can be added with add-cloud.
func Cloud() provider.Cloud {
	c := provider.Cloud{Name: "aws", Type: "ec2", Description: "Amazon Web Services", AuthTypes: AuthTypes()}
	for _, name := range []string{"us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "ca-west-1", "mx-central-1", "sa-east-1",
		"eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1",
		"me-central-1", "me-south-1", "af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
		"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-7"} {
		c.Regions = append(c.Regions, provider.Region{Name: name})
	}
	return c
}
