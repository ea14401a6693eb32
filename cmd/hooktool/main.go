// Command hooktool is every hook tool: it is the one that it is called by.
package main

import (
	"syscall"

	"github.com/grigri/grigri/hooks/tool"
)

func main() {
	args, err := tool.Args()
	if err != nil {
		args = nil
	}
	syscall.Exit(tool.Main(args))
}
