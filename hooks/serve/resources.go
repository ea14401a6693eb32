package serve

import (
	"context"
	"fmt"
)

func resourceTools() []tool {
	return []tool{{
		name:    "resource-get",
		args:    "<resource name>",
		summary: "Print the path of the file of a resource.",
		details: "The file is fetched first, unless the revision that the application is to have is there already. It is not to be\nchanged: another revision takes its place. No newline follows the path.",
		format:  bare,
		run:     resourceGet,
	}}
}

func resourceGet(ctx context.Context, c *call) (any, error) {
	if len(c.args) == 0 || c.arg(0) == "" {
		return nil, usage("missing required resource name")
	}
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	path, err := c.read.Resource(ctx, c.arg(0))
	if err != nil {
		return nil, fmt.Errorf("could not download resource: %w", err)
	}
	return path, nil
}
