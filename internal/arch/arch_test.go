// Package arch holds the code to its architecture: which package may import which, which are pure,
// and what no source file may contain.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/grigri/grigri/"

// may says which of our packages each package may import, itself and its tests apart. It is the architecture:
// a change here is a change of design. A package that is not in the table must not be.
var may = map[string]string{
	"charm":        "",
	"charm/unpack": "charm",
	"provider":     "",
	"relation":     "charm",
	"state":        "charm provider relation",
	"hooks":        "charm provider relation state",

	"state/memory":          "state",
	"state/zk":              "state",
	"state/coord":           "state",
	"state/storetest":       "state",
	"state/zkserver":        "internal/pki internal/ram internal/supervise",
	"state/zkserver/zktest": "internal/pki state/zkserver",

	"hooks/wire":      "",
	"hooks/tool":      "hooks/wire",
	"hooks/serve":     "charm hooks hooks/wire internal/socket internal/yamltext provider relation state",
	"hooks/run":       "hooks internal/version state",
	"hooks/hookstest": "hooks relation state",

	"provider/local":        "internal/reaper provider",
	"provider/lxd":          "provider provider/lxd/client",
	"provider/lxd/client":   "",
	"provider/manual":       "provider",
	"provider/plugin":       "provider provider/plugin/wire",
	"provider/plugin/wire":  "",
	"provider/redfish":      "provider",
	"provider/providertest": "provider",
	"provider/ec2":          "provider",
	"provider/all":          "provider provider/ec2 provider/local provider/lxd provider/manual provider/plugin",

	"provider/plugin/plugintest": "provider provider/plugin",
	"internal/breaktest":         "",
	"internal/wiretest":          "provider/providertest",

	"agent/commands": "internal/socket",
	"agent/debug":    "internal/socket",
	"agent/place":    "state",
	"agent/resolve":  "charm hooks relation state",
	"agent/unit":     "agent/commands agent/debug agent/place agent/resolve charm charm/unpack hooks hooks/run hooks/serve internal/agentapi internal/version provider relation state state/coord",
	"agent/nest":     "charm provider provider/lxd state",
	"agent/machine":  "agent/commands agent/enroll agent/nest agent/unit charm hooks hooks/run internal/agentapi internal/initscript internal/pki internal/programs internal/ram internal/version provider state state/coord",
	"agent/enroll":   "internal/agentapi internal/pki state",

	"controller/plan":      "charm provider relation state",
	"controller/status":    "charm hooks provider relation state",
	"controller/leader":    "controller/plan provider relation state state/coord",
	"controller/archive":   "",
	"controller/logs":      "internal/agentapi internal/userapi state",
	"controller/statuslog": "controller/status internal/agentapi state",
	"controller/vault":     "state",
	"controller/view":      "charm controller/status state state/coord",
	"controller/api":       "charm controller/archive controller/logs controller/status controller/statuslog controller/vault controller/view hooks internal/agentapi internal/initscript internal/pki internal/userapi internal/version provider relation state",
	"controller/client":    "charm controller/status internal/agentapi internal/userapi provider state",
	"controller":           "charm controller/api controller/archive controller/leader controller/logs controller/statuslog internal/agentapi internal/initscript internal/pki internal/userapi internal/version provider state state/coord",

	"internal/agentapi":           "state",
	"internal/arch":               "",
	"internal/bundle":             "charm internal/userfile provider",
	"internal/e2e":                "",
	"internal/recorder":           "",
	"internal/checklist":          "",
	"internal/initscript":         "internal/agentapi provider",
	"internal/jubilant":           "internal/pyenv",
	"internal/lxdtest":            "internal/pki",
	"internal/mototest":           "internal/pyenv",
	"internal/mototest/bodies":    "internal/lxdtest internal/mototest",
	"internal/install":            "internal/initscript provider",
	"internal/pki":                "state",
	"internal/programs":           "internal/initscript internal/pki",
	"internal/pycharms":           "hooks/run internal/pyenv",
	"internal/pyenv":              "",
	"internal/query":              "",
	"internal/ram":                "",
	"internal/reaper":             "",
	"internal/sim":                "agent/commands agent/resolve agent/unit charm controller/leader hooks hooks/run provider relation state state/coord state/memory",
	"internal/socket":             "",
	"internal/sshhost":            "provider",
	"internal/nettest":            "",
	"internal/sshtest":            "internal/nettest",
	"internal/supervise":          "",
	"internal/userapi":            "charm internal/version provider relation state",
	"internal/userfile":           "",
	"internal/version":            "",
	"internal/yamltext":           "",
	"internal/bench":              "*",
	"internal/bench/scale":        "*",
	"internal/lxdtest/lxdenv":     "internal/lxdtest",
	"cmd/grigri":                  "charm charm/unpack controller/archive controller/client controller/status internal/agentapi internal/bundle internal/install internal/manual internal/programs internal/query internal/sshhost internal/userapi internal/userfile internal/version provider provider/all relation state",
	"cmd/grigrid":                 "controller internal/install internal/pki internal/programs internal/supervise internal/userapi internal/userfile internal/version provider provider/all state state/zk state/zkserver",
	"cmd/grigri-agent":            "agent/commands agent/debug agent/enroll agent/machine internal/pki internal/programs internal/reaper internal/version state state/zk",
	"cmd/hooktool":                "hooks/tool",
	"internal/manual":             "charm internal/initscript provider",
	"cmd/grigri-provider-redfish": "provider provider/plugin provider/redfish",
}

// pure is the packages that touch nothing: no files, network, processes, goroutines or clock.
var pure = []string{"charm", "provider", "relation", "state", "hooks", "hooks/wire", "agent/resolve", "controller/plan", "controller/status",
	"internal/agentapi", "internal/bundle", "internal/initscript", "internal/query", "internal/userapi", "internal/userfile", "internal/version", "internal/yamltext"}

var impure = []string{"os", "os/exec", "net", "net/http", "syscall", "log", "log/slog", "sync", "math/rand", "math/rand/v2", "crypto/rand"}

const maxLines = 500

func TestImports(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		seen[name] = true
		allowed, ok := may[name]
		if !ok {
			t.Errorf("%s is not in the table in arch_test.go", name)
		}
		for _, imp := range p.Imports {
			if ours, ok := strings.CutPrefix(imp, module); ok && allowed != "*" && !slices.Contains(strings.Fields(allowed), ours) {
				t.Errorf("%s must not import %s", name, ours)
			}
			if strings.HasPrefix(imp, "github.com/aws/") && name != "provider/ec2" && name != "internal/mototest/bodies" {
				t.Errorf("%s must not import %s: it is large, and belongs in no program but the controller", name, imp)
			}
			if slices.Contains(pure, name) && slices.Contains(impure, imp) {
				t.Errorf("%s is pure and must not import %s", name, imp)
			}
		}
	}
	for name := range may {
		if !seen[name] {
			t.Errorf("%s is in the table and not in the tree", name)
		}
	}
}

func TestSource(t *testing.T) {
	fset := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "build" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".pb.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := bytes.Count(src, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d", path, n, maxLines)
		}
		file, err := parser.ParseFile(fset, path, src, 0)
		if err != nil {
			return err
		}
		checkFile(t, fset, filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../../"))), file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, fset *token.FileSet, dir string, file *ast.File) {
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if ok && fn.Name.Name == "init" && fn.Recv == nil {
			t.Errorf("%s: func init", fset.Position(fn.Pos()))
		}
		runs := ok && strings.EqualFold(fn.Name.Name, "run")
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if !runs {
					t.Errorf("%s: a bare go statement outside a Run function: use errgroup", fset.Position(n.Pos()))
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(pure, dir) &&
					slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "Tick"}, n.Sel.Name) {
					t.Errorf("%s: %s is pure and must be told the time", fset.Position(n.Pos()), dir)
				}
			}
			return true
		})
	}
}
