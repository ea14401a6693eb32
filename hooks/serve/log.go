package serve

import (
	"context"
	"fmt"
	"strings"
)

func logTools() []tool {
	return []tool{{
		name:    "juju-log",
		args:    "<message>",
		summary: "Write a message to the log.",
		flags: []flag{
			{names: "l, log-level", value: "<level>", usage: "TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL",
				preset: func(*Session) string { return "INFO" }},
			{names: "debug", usage: "Log at level DEBUG"}},
		format: formatIsOld,
		run:    jujuLog,
	}}
}

func jujuLog(ctx context.Context, c *call) (any, error) {
	if len(c.args) == 0 {
		return nil, usage("no message specified")
	}
	level, known := logLevel(c.text("l"))
	if c.on("debug") {
		level, known = "DEBUG", true
	}
	prefix := ""
	if c.Hook.Endpoint != "" {
		prefix = fmt.Sprintf("%s:%d: ", c.Hook.Endpoint, c.Hook.Relation)
	}
	if !known {
		if err := c.Writer.Log(ctx, "WARNING", prefix+fmt.Sprintf("Specified log level of %q is not valid", c.text("l"))); err != nil {
			return nil, err
		}
	}
	return nil, c.Writer.Log(ctx, level, prefix+c.Mask(strings.Join(c.args, " ")))
}

// logLevel is the level that a charm means. One that it does not know is INFO.
func logLevel(text string) (level string, known bool) {
	switch text = strings.ToUpper(text); text {
	case "WARN":
		return "WARNING", true
	case "TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL":
		return text, true
	case "UNSPECIFIED":
		return "INFO", true
	}
	return "INFO", false
}
