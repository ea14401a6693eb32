package ec2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/grigri/grigri/provider"
)

// Codes of EC2 that say "not now". Most are met again and again until a quota is raised or a zone has room.
var later = []string{
	"RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException", "TooManyRequestsException",
	"InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable", "RequestTimeout", "RequestTimeoutException",
	"InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity", "InsufficientAddressCapacity",
	"InsufficientFreeAddressesInSubnet", "InsufficientCapacity", "InsufficientVolumeCapacity", "InsufficientCapacityOnHost",
	"InstanceLimitExceeded", "VcpuLimitExceeded", "VolumeLimitExceeded", "SecurityGroupLimitExceeded", "SecurityGroupsPerInterfaceLimitExceeded",
	"NetworkInterfaceLimitExceeded", "ResourceLimitExceeded", "MaxIOPSLimitExceeded", "AttachmentLimitExceeded", "PrivateIpAddressLimitExceeded",
	"PendingVerification", "DependencyViolation", "VolumeInUse", "IncorrectState", "IncorrectInstanceState", "ConcurrentCreateImageNoReboot",
	"RequestExpired", "IdempotentParameterMismatch", "ResourceCountExceeded", "ReservationCapacityExceeded",
}

// Codes that say that we are not who we should be.
var strangers = []string{"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "IncompleteSignature",
	"InvalidAccessKeyId", "MissingAuthenticationToken", "ExpiredToken", "ExpiredTokenException", "Blocked", "OptInRequired"}

// Codes that say that we may not.
var forbidden = []string{"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "OperationNotPermitted"}

// What users can do about some codes.
var remedies = map[string]string{
	"VcpuLimitExceeded":            "ask Amazon for a higher quota of vCPUs in this region",
	"InstanceLimitExceeded":        "ask Amazon for a higher quota of instances in this region",
	"SecurityGroupLimitExceeded":   "remove security groups of the VPC that are not used, or ask Amazon for a higher quota",
	"VolumeLimitExceeded":          "remove volumes that are not used, or ask Amazon for a higher quota",
	"RulesPerSecurityGroupLimit":   "expose fewer ranges or CIDRs on one machine, or ask Amazon for a higher quota of rules per security group",
	"RequestExpired":               "set the clock of the controller's host",
	"OptInRequired":                "the account has no subscription to this, or the region is not enabled for it",
	"ExpiredToken":                 "update the credential: its session token has expired",
	"InsufficientInstanceCapacity": "it is tried again; another instance type or zone may have room",
}

// A cloudError is what EC2 said, in words for users; it is one of the provider's kinds of error as well.
type cloudError struct {
	text string
	kind error // or nil
	err  error
}

func (e *cloudError) Error() string {
	if e.kind == nil {
		return e.text
	}
	return e.text + ": " + e.kind.Error()
}

func (e *cloudError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.err}
	}
	return []error{e.kind, e.err}
}

// explain says what an error of the SDK means to whoever asked. What is not EC2's word is a matter of the way there, and passes.
func explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, provider.ErrTransient) || errors.Is(err, provider.ErrRefused) || errors.Is(err, provider.ErrNotFound) {
		return err
	}
	operation := "ask EC2"
	var op *smithy.OperationError
	if errors.As(err, &op) {
		operation = op.Operation()
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		reason := err
		if op != nil {
			reason = op.Err
		}
		return &cloudError{operation + ": EC2 does not answer: " + reason.Error(), provider.ErrTransient, err}
	}
	code := api.ErrorCode()
	message, _, _ := strings.Cut(api.ErrorMessage(), " Encoded authorization failure message")
	text := fmt.Sprintf("%s: %s: %s", operation, code, strings.TrimSuffix(strings.TrimSpace(message), "."))
	kind := provider.ErrRefused
	switch {
	case slices.Contains(later, code) || status(err) >= http.StatusInternalServerError || status(err) == http.StatusTooManyRequests:
		kind = provider.ErrTransient
	case slices.Contains(strangers, code):
		text += " (is the credential right? see \"grigri update-credential\")"
	case slices.Contains(forbidden, code):
		text += fmt.Sprintf(" (the credential needs the permission ec2:%s)", operation)
	}
	for prefix, remedy := range remedies {
		if strings.HasPrefix(code, prefix) {
			text += " (" + remedy + ")"
		}
	}
	return &cloudError{text, kind, err}
}

func status(err error) int {
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) {
		return resp.HTTPStatusCode()
	}
	return 0
}

// is says whether EC2 said one of these codes. A code that ends in a dot stands for all that begin with it.
func is(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	return slices.ContainsFunc(codes, func(c string) bool {
		return api.ErrorCode() == c || strings.HasSuffix(c, ".") && strings.HasPrefix(api.ErrorCode(), c)
	})
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), provider.ErrRefused)
}
