package charm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrSetting is what errors.Is finds in every error about a setting that a user gave.
var ErrSetting = errors.New("setting is not valid")

// A settingError says what is wrong with settings. Its text is a contract, so that ErrSetting is not part of it.
type settingError string

func (e settingError) Error() string        { return string(e) }
func (e settingError) Is(target error) bool { return target == ErrSetting }

// Parse turns text from a command line into a value of the option's type. An empty text is a value for
// string and secret, and an error for the other types.
func (o Options) Parse(key, text string) (any, error) {
	option, ok := o[key]
	if !ok {
		return nil, unknown(key)
	}
	value, ok := option.parse(text)
	if !ok {
		return nil, option.mismatch(key, text)
	}
	return value, nil
}

// Check turns the values of a YAML or JSON document into values of their options' types. A nil stays nil
// and means that the option is to be unset. The error names every option that is wrong.
func (o Options) Check(settings map[string]any) (map[string]any, error) {
	out := map[string]any{}
	var wrong []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		value := settings[key]
		option, known := o[key]
		if !known {
			wrong = append(wrong, unknown(key).Error())
			continue
		}
		typed, ok := option.coerce(value)
		if !ok && value != nil {
			wrong = append(wrong, option.mismatch(key, value).Error())
			continue
		}
		out[key] = typed
	}
	if len(wrong) > 0 {
		return nil, settingError(strings.Join(wrong, "; "))
	}
	return out, nil
}

// Effective is what a charm sees: every option is in the result, as set, else its default, else nil.
func (o Options) Effective(set map[string]any) map[string]any {
	out := map[string]any{}
	for key, option := range o {
		out[key] = option.Default
		if value, ok := option.restore(set[key]); ok {
			out[key] = value
		}
	}
	return out
}

// Fit is what remains of settings when a refresh has changed the options: what is unknown now,
// or no longer fits its option's type, is dropped.
func (o Options) Fit(set map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range set {
		if typed, ok := o[key].restore(value); ok {
			out[key] = typed
		}
	}
	return out
}

// Normalize undoes what JSON does to values: a number becomes again what its option's type says.
// What does not fit is left as it is. Settings that came as JSON go through here before Check, which
// takes no float for an int.
func (o Options) Normalize(settings map[string]any) map[string]any {
	out := maps.Clone(settings)
	for key, value := range settings {
		if typed, ok := o[key].restore(value); ok {
			out[key] = typed
		}
	}
	return out
}

// UnmarshalJSON reads an option and gives its default the type that the option says.
func (o *Option) UnmarshalJSON(data []byte) error {
	type plain Option
	if err := json.Unmarshal(data, (*plain)(o)); err != nil {
		return err
	}
	if o.Type != Int || o.Default == nil {
		return nil
	}
	var exact struct {
		Default json.Number `json:"default"` // a float64 does not hold every int64
	}
	if err := json.Unmarshal(data, &exact); err != nil {
		return fmt.Errorf("default of an int option: %w", err)
	}
	value, ok := o.coerce(exact.Default)
	if !ok {
		return fmt.Errorf("default of an int option: got %s", exact.Default)
	}
	o.Default = value
	return nil
}

func unknown(key string) error { return settingError(fmt.Sprintf("unknown option %q", key)) }

func (o Option) mismatch(key string, got any) error {
	text := fmt.Sprint(got)
	switch got := got.(type) {
	case string:
		text = strconv.Quote(got)
		if o.Type == Secret {
			text += " (a secret is given as secret:ID)"
		}
	case map[string]any, map[any]any:
		text = "a map"
	case []any:
		text = "a list"
	}
	return settingError(fmt.Sprintf("option %q expected %s, got %s", key, o.Type, text))
}

// parse reads text as a command line gives it.
func (o Option) parse(text string) (any, bool) {
	switch o.Type {
	case String:
		return text, true
	case Secret:
		return text, text == "" || strings.HasPrefix(text, "secret:") && len(text) > len("secret:")
	case Int:
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil
	case Float:
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) // JSON has neither
	case Boolean:
		return parseBool(text)
	}
	return nil, false
}

func parseBool(text string) (bool, bool) {
	switch strings.ToLower(text) {
	case "yes", "y", "on":
		return true, true
	case "no", "n", "off":
		return false, true
	}
	b, err := strconv.ParseBool(text)
	return b, err == nil
}

// coerce turns a value out of a YAML or JSON document into one of the option's type. A nil does not fit.
func (o Option) coerce(value any) (any, bool) {
	switch v := value.(type) {
	case string:
		typed, ok := o.parse(v)
		if !ok && o.Type == Int { // 0x50
			n, err := strconv.ParseInt(v, 0, 64)
			return n, err == nil
		}
		return typed, ok
	case bool:
		return v, o.Type == Boolean
	case int:
		return o.fromInt(int64(v))
	case int64:
		return o.fromInt(v)
	case uint64:
		if v <= math.MaxInt64 {
			return o.fromInt(int64(v))
		}
		return float64(v), o.Type == Float
	case float64:
		return v, o.Type == Float && !math.IsNaN(v) && !math.IsInf(v, 0)
	case json.Number:
		typed, ok := o.parse(string(v))
		return typed, ok && (o.Type == Int || o.Type == Float)
	case time.Time: // YAML sees times where a charm sees text
		return v.Format(time.DateOnly), o.Type == String && v.Equal(v.Truncate(24*time.Hour))
	}
	return nil, false
}

// restore is coerce for a value that was of the right type before JSON made every number a float.
func (o Option) restore(value any) (any, bool) {
	if f, ok := value.(float64); ok && o.Type == Int {
		return int64(f), f == math.Trunc(f) && math.Abs(f) < 1<<63
	}
	return o.coerce(value)
}

func (o Option) fromInt(n int64) (any, bool) {
	switch o.Type {
	case Int:
		return n, true
	case Float:
		return float64(n), true
	}
	return nil, false
}
