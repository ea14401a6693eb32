package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// moveTo has the controller, and its ZooKeeper, listen on another address of this host.
func (e *environment) moveTo(host string) {
	e.Helper()
	all := e.processes()
	i := slices.IndexFunc(all, func(p process) bool { return p.program() == "grigrid" })
	if i < 0 {
		e.Fatal("there is no grigrid")
	}
	if err := syscall.Kill(all[i].pid, syscall.SIGTERM); err != nil {
		e.Fatal(err)
	}
	e.eventually("grigrid ends", all[i].ended)
	for _, path := range []string{e.controllerFile("grigrid.json"), filepath.Join(e.data, "controllers.yaml")} {
		data, err := os.ReadFile(path)
		if err != nil {
			e.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "127.0.0.1:", host+":")
		text = strings.Replace(text, `"zookeeper": {`, `"zookeeper": {"listen": "`+host+`:0",`, 1)
		text = strings.Replace(text, `:0",}`, `:0"}`, 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			e.Fatal(err)
		}
	}
	log, err := os.OpenFile(e.controllerFile("grigrid.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		e.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(e.bin, "grigrid"), "run", "--data-dir", e.controllerFile())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		e.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // it is ours, and would stay as a zombie
	e.again("", "models")
}
