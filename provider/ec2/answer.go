package ec2

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

var errOther = errors.New("what answers is not EC2: is there something between here and there, such as a proxy that wants a login?")

// onlyEC2 has answers refused that are not EC2's. The SDK takes any XML, a page of HTML too, for an answer in which
// nothing is: a list of instances would be empty.
func onlyEC2(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("grigri: only EC2", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		resp, ok := out.RawResponse.(*smithyhttp.Response)
		if err != nil || !ok || resp.StatusCode != http.StatusOK {
			return out, metadata, err
		}
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(data))
		if err == nil && !isResponse(data) {
			err = errOther
		}
		return out, metadata, err
	}), middleware.After)
}

// isResponse says whether the document's element has a name like RunInstancesResponse.
func isResponse(data []byte) bool {
	for d := xml.NewDecoder(bytes.NewReader(data)); ; {
		token, err := d.Token()
		if err != nil {
			return false
		}
		if root, ok := token.(xml.StartElement); ok {
			return strings.HasSuffix(root.Name.Local, "Response")
		}
	}
}
