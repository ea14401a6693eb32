// Grigri is the user's client: it declares what should run where, and tells how far that is.
// Under the name juju it reads JUJU_* variables as well.
package main

import "os"

func main() { os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
