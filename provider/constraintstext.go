package provider

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseConstraints reads constraints as users write them: "cores=2 mem=4G tags=fast,big".
// A key without a value, "mem=", asks for nothing even where the model asks for something.
func ParseConstraints(text string) (Constraints, error) {
	var c Constraints
	fields := c.fields()
	seen := map[string]bool{}
	for _, term := range strings.Fields(text) {
		key, value, ok := strings.Cut(term, "=")
		if !ok || key == "" {
			return Constraints{}, fmt.Errorf("malformed constraint %q, expected key=value", term)
		}
		if key == "cpu-cores" { // what cores was called once
			key = "cores"
		}
		i := find(fields, key)
		if i < 0 {
			return Constraints{}, fmt.Errorf("unknown constraint %q", key)
		}
		if seen[key] {
			return Constraints{}, fmt.Errorf("bad %q constraint: already set", key)
		}
		seen[key] = true
		if err := fields[i].parse(value); err != nil {
			return Constraints{}, fmt.Errorf("bad %q constraint: %w", key, err)
		}
	}
	return c, nil
}

// String is the constraints as users write them, in the order of the struct: "cores=4 mem=1024M".
// ParseConstraints reads it back.
func (c Constraints) String() string {
	var terms []string
	for _, f := range c.fields() {
		if value, ok := f.format(); ok {
			terms = append(terms, f.key+"="+value)
		}
	}
	return strings.Join(terms, " ")
}

// A field is one constraint by its key. Value points to the field of a Constraints: it is a **string, **int,
// **bool or **[]string.
type field struct {
	key     string
	value   any
	mib     bool     // the number is a size
	allowed []string // nil: anything
}

func (c *Constraints) fields() []field {
	return []field{
		{key: "arch", value: &c.Arch, allowed: []string{"amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x"}},
		{key: "container", value: &c.Container, allowed: []string{"none", "lxd"}},
		{key: "cores", value: &c.Cores},
		{key: "cpu-power", value: &c.CPUPower},
		{key: "mem", value: &c.MemoryMiB, mib: true},
		{key: "root-disk", value: &c.RootDiskMiB, mib: true},
		{key: "root-disk-source", value: &c.RootDiskSource},
		{key: "tags", value: &c.Tags},
		{key: "instance-role", value: &c.InstanceRole},
		{key: "instance-type", value: &c.InstanceType},
		{key: "spaces", value: &c.Spaces},
		{key: "virt-type", value: &c.VirtType},
		{key: "zones", value: &c.Zones},
		{key: "allocate-public-ip", value: &c.AllocatePublicIP},
		{key: "image-id", value: &c.ImageID},
		{key: "ip-family", value: &c.IPFamily, allowed: []string{"ipv4", "ipv6", "dual"}},
	}
}

func find(fields []field, key string) int {
	for i, f := range fields {
		if f.key == key {
			return i
		}
	}
	return -1
}

func (f field) parse(text string) error {
	switch p := f.value.(type) {
	case **string:
		value, err := f.parseWord(text)
		if err != nil {
			return err
		}
		*p = &value
	case **int:
		value, err := f.parseNumber(text)
		if err != nil {
			return err
		}
		*p = &value
	case **bool:
		value, err := strconv.ParseBool(text)
		if err != nil && text != "" {
			return fmt.Errorf("must be 'true' or 'false', got %q", text)
		}
		*p = &value
	case **[]string:
		value := []string{}
		for item := range strings.SplitSeq(text, ",") {
			if item != "" {
				value = append(value, item)
			}
		}
		*p = &value
	}
	return nil
}

func (f field) parseWord(text string) (string, error) {
	if f.key == "arch" {
		switch text {
		case "x86_64":
			text = "amd64"
		case "aarch64":
			text = "arm64"
		}
	}
	if text == "" || f.allowed == nil {
		return text, nil
	}
	for _, word := range f.allowed {
		if text == word {
			return text, nil
		}
	}
	return "", fmt.Errorf("%q not recognized, expected one of %s", text, strings.Join(f.allowed, ", "))
}

func (f field) parseNumber(text string) (int, error) {
	switch {
	case text == "":
		return 0, nil
	case f.mib:
		return parseMiB(text)
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("must be a non-negative integer, got %q", text)
	}
	return int(n), nil
}

// parseMiB reads a size in MiB; a suffix multiplies, a fraction is rounded up to a whole MiB.
func parseMiB(text string) (int, error) {
	number, mult := text, 1.0
	if i := strings.IndexByte("MGTP", text[len(text)-1]); i >= 0 {
		number, mult = text[:len(text)-1], math.Pow(1024, float64(i))
	}
	n, err := strconv.ParseFloat(number, 64)
	size := math.Ceil(n * mult)
	if err != nil || strings.Trim(number, "0123456789.") != "" || size > math.MaxInt32*1024 {
		return 0, fmt.Errorf("must be a non-negative number with an optional M, G, T or P after it, got %q", text)
	}
	return int(size), nil
}

// format is the field's value as parse takes it; false means that nothing is asked.
func (f field) format() (string, bool) {
	switch p := f.value.(type) {
	case **string:
		if *p != nil {
			return **p, true
		}
	case **int:
		switch {
		case *p == nil:
		case **p == 0:
			return "", true
		case f.mib:
			return strconv.Itoa(**p) + "M", true
		default:
			return strconv.Itoa(**p), true
		}
	case **bool:
		if *p != nil {
			return strconv.FormatBool(**p), true
		}
	case **[]string:
		if *p != nil {
			return strings.Join(**p, ","), true
		}
	}
	return "", false
}
