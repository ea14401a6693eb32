package userapi

import (
	"fmt"
	"net/url"
	"strconv"
)

// A LogFilter chooses lines of a model's log.
// An entity is unit-web-0, web/0, web, machine-0 or 0, with * for any text.
type LogFilter struct {
	Include       []string
	Exclude       []string
	IncludeModule []string // with all that is below them
	ExcludeModule []string
	Level         string // this and worse; empty: all
	Last          int    // of the lines there are, begin with the last so many; zero: all; negative: none
	Limit         int    // end after so many; zero: no limit
	Follow        bool   // go on with new lines
}

// Query is the filter in a URL: include=web/0&level=INFO&follow=true.
func (f LogFilter) Query() url.Values {
	q := url.Values{}
	for name, list := range map[string][]string{"include": f.Include, "exclude": f.Exclude, "include-module": f.IncludeModule, "exclude-module": f.ExcludeModule} {
		if len(list) > 0 {
			q[name] = list
		}
	}
	if f.Level != "" {
		q.Set("level", f.Level)
	}
	if f.Last != 0 {
		q.Set("last", strconv.Itoa(f.Last))
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if f.Follow {
		q.Set("follow", "true")
	}
	return q
}

// ParseLogFilter is the filter in a URL.
func ParseLogFilter(q url.Values) (LogFilter, error) {
	f := LogFilter{Include: q["include"], Exclude: q["exclude"], IncludeModule: q["include-module"], ExcludeModule: q["exclude-module"],
		Level: q.Get("level"), Follow: q.Get("follow") == "true"}
	for name, n := range map[string]*int{"last": &f.Last, "limit": &f.Limit} {
		if text := q.Get(name); text != "" {
			var err error
			if *n, err = strconv.Atoi(text); err != nil {
				return f, fmt.Errorf("%s=%q is not a number", name, text)
			}
		}
	}
	return f, nil
}
