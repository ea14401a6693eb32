package serve

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A flag is one option of a tool. The syntax is gnuflag's: options and arguments in any order; --name value or
// --name=value; -n value or -nvalue; one-letter switches may be bundled; -- ends the options; the last one wins.
type flag struct {
	names  string // "r, relation": the first one is how the tool knows it
	value  string // "<id>"; empty for a switch, which is true or false
	usage  string
	preset func(*Session) string // the value when the option is not given, for the help text and for the tool
	check  func(context.Context, *call, string) (string, error)
}

func (f flag) key() string { name, _, _ := strings.Cut(f.names, ","); return name }

func (f flag) answersTo(name string) bool {
	for n := range strings.SplitSeq(f.names, ", ") {
		if n == name {
			return true
		}
	}
	return false
}

// errHelp means that help was asked for.
var errHelp = usage("help requested")

// A scanner takes a command line apart.
type scanner struct {
	flags   []flag
	rest    []string // not looked at yet
	bundle  string   // what follows a one-letter option in its argument, or "=value" of a long one
	long    bool     // the option has two dashes
	options []option
	args    []string
}

// An option is one that was given.
type option struct {
	flag  flag
	name  string // as it was given, with its dashes
	value string
}

// scan returns the options in their order, and the arguments. With an error come the options before it.
func scan(flags []flag, line []string) ([]option, []string, error) {
	s := scanner{flags: flags, rest: line}
	for {
		name, ok, err := s.next()
		if err != nil {
			return s.options, nil, err
		}
		if !ok {
			return s.options, s.args, nil
		}
		if err := s.take(name); err != nil {
			return s.options, nil, err
		}
	}
}

// next goes to the next option and returns its name.
func (s *scanner) next() (name string, ok bool, err error) {
	if s.bundle != "" {
		return s.short(s.bundle), true, nil
	}
	for len(s.rest) > 0 {
		arg := s.rest[0]
		s.rest = s.rest[1:]
		switch {
		case arg == "--":
			s.args = append(s.args, s.rest...)
			s.rest = nil
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			s.args = append(s.args, arg)
		case strings.HasPrefix(arg, "--"):
			s.long = true
			name := arg[2:]
			if i := strings.IndexByte(name, '='); i == 0 {
				return "", false, usage("empty option in argument %q", arg)
			} else if i > 0 {
				name, s.bundle = name[:i], name[i:]
			}
			return name, true, nil
		default:
			s.long = false
			return s.short(arg[1:]), true, nil
		}
	}
	return "", false, nil
}

// short splits the first letter off.
func (s *scanner) short(letters string) string {
	_, n := utf8.DecodeRuneInString(letters)
	s.bundle = letters[n:]
	return letters[:n]
}

// take finds the option's value.
func (s *scanner) take(name string) error {
	shown := dashed(name)
	f, ok := s.find(name)
	switch {
	case !ok && (name == "help" || name == "h"):
		return errHelp
	case !ok:
		return usage("option provided but not defined: %s", shown)
	}
	value, attached := s.bundle, s.bundle != ""
	if f.value == "" {
		if !strings.HasPrefix(s.bundle, "=") {
			s.options = append(s.options, option{f, shown, "true"})
			return nil
		}
		s.bundle = ""
		on, err := strconv.ParseBool(value[1:])
		if err != nil {
			return usage("invalid value %q for option %s: %s", value[1:], shown, err)
		}
		s.options = append(s.options, option{f, shown, strconv.FormatBool(on)})
		return nil
	}
	s.bundle = ""
	switch {
	case attached && s.long:
		value = value[1:]
	case attached:
	case len(s.rest) == 0:
		return usage("option needs an argument: %s", shown)
	default:
		value, s.rest = s.rest[0], s.rest[1:]
	}
	s.options = append(s.options, option{f, shown, value})
	return nil
}

func (s *scanner) find(name string) (flag, bool) {
	for _, f := range s.flags {
		if f.answersTo(name) {
			return f, true
		}
	}
	return flag{}, false
}

// dashed is an option's name as messages show it.
func dashed(name string) string {
	if len(name) > 1 {
		return "--" + name
	}
	return "-" + name
}

// A usageError is the caller's mistake: exit status 2.
type usageError string

func (e usageError) Error() string { return string(e) }

func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }
