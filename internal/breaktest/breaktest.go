// Package breaktest breaks the product on purpose, to see that its tests notice. One program has all the faults in it, and its
// environment says which is to be.
package breaktest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A Fault is a rule that the product keeps, broken: in the file, whose name is from the root of the module, New stands for Old, which is
// there once. Several with the same rule are one fault.
type Fault struct{ Rule, File, Old, New string }

const variable = "GRIGRI_BROKEN"

// Env is the environment in which the program has the fault with the rule; with "" it has none.
func Env(rule string) []string { return append(os.Environ(), variable+"="+rule) }

// Build builds the tests of the package in whose directory it is called. Each function with a fault is there once as it is, and once
// for each of its faults. The calling test fails if a fault is not in the code, or is in no function.
func Build[F ~struct{ Rule, File, Old, New string }](t testing.TB, root string, faults []F) (program string) {
	t.Helper()
	root, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*file{}
	for _, f := range faults {
		f := Fault(f)
		if files[f.File] == nil {
			files[f.File] = open(t, filepath.Join(root, f.File))
		}
		files[f.File].harm(t, f)
	}
	tmp, replace := t.TempDir(), map[string]string{}
	put := func(name, text string) {
		at := filepath.Join(tmp, strings.ReplaceAll(name, "/", "-"))
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, name)] = at
	}
	for name, f := range files {
		put(name, f.whole(t))
		put(filepath.Dir(name)+"/broken.go", fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar broken = os.Getenv(%q)\n", f.pkg, variable))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(tmp, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(tmp, "broken.test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", list, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("it was to be built: %v\n%s", err, out)
	}
	return program
}

// A file of the product, as it is and as each rule that is broken in it makes it.
type file struct {
	pkg, text string
	funcs     map[string]function
	harmed    map[string]string // by rule
}

// A function is where it is in its file, and what is called there.
type function struct {
	text, name, call string
	from, at, body   int // in the file: of itself; in itself: of its name, of what is in its braces
}

func open(t testing.TB, name string) *file {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f := &file{text: string(text), harmed: map[string]string{}}
	f.pkg, f.funcs = parse(t, name, f.text)
	return f
}

func (f *file) harm(t testing.TB, fault Fault) {
	t.Helper()
	if n := strings.Count(f.text, fault.Old); n != 1 {
		t.Fatalf("%s: %s has %q %d times: the list of faults is to follow the code", fault.Rule, fault.File, fault.Old, n)
	}
	f.harmed[fault.Rule] = strings.Replace(cmp.Or(f.harmed[fault.Rule], f.text), fault.Old, fault.New, 1)
}

// whole is the file with each function that a fault changes in all its forms.
func (f *file) whole(t testing.TB) string {
	t.Helper()
	choices, forms := map[string]string{}, ""
	for i, rule := range slices.Sorted(maps.Keys(f.harmed)) {
		_, harmed := parse(t, rule, f.harmed[rule])
		found := false
		for key, was := range f.funcs {
			now := harmed[key]
			if now.text == was.text {
				continue
			}
			found = true
			suffix := fmt.Sprintf("Broken%d", i)
			forms += "\n" + now.text[:now.at] + now.name + suffix + now.text[now.at+len(now.name):] + "\n"
			choices[key] += fmt.Sprintf("\nif broken == %q { %s }\n", rule, fmt.Sprintf(was.call, was.name+suffix))
		}
		if !found {
			t.Fatalf("%s: it changes no function", rule)
		}
	}
	out, at := "", 0
	for _, key := range slices.SortedFunc(maps.Keys(choices), func(a, b string) int { return f.funcs[a].from - f.funcs[b].from }) {
		fn := f.funcs[key]
		out += f.text[at:fn.from+fn.body] + choices[key]
		at = fn.from + fn.body
	}
	return out + f.text[at:] + forms
}

// parse is the functions in the text of a file, by their receiver and name.
func parse(t testing.TB, what, text string) (pkg string, funcs map[string]function) {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, "", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	funcs = map[string]function{}
	offset := func(p token.Pos) int { return set.Position(p).Offset }
	for _, d := range tree.Decls {
		d, ok := d.(*ast.FuncDecl)
		if !ok || d.Body == nil {
			continue
		}
		from := offset(d.Pos())
		fn := function{text: text[from:offset(d.End())], name: d.Name.Name, call: callOf(d), from: from, at: offset(d.Name.Pos()) - from, body: offset(d.Body.Lbrace) + 1 - from}
		funcs[fn.text[:fn.at]+fn.name] = fn
	}
	return tree.Name.Name, funcs
}

// callOf is a call of the function with what it was called with, by the name that is to be put in.
func callOf(d *ast.FuncDecl) string {
	var args []string
	for _, p := range d.Type.Params.List {
		for _, name := range p.Names {
			arg := name.Name
			if _, many := p.Type.(*ast.Ellipsis); many {
				arg += "..."
			}
			args = append(args, arg)
		}
	}
	call := "%s(" + strings.Join(args, ", ") + ")"
	if d.Recv != nil && len(d.Recv.List[0].Names) == 1 {
		call = d.Recv.List[0].Names[0].Name + "." + call
	}
	if d.Type.Results == nil {
		return call + "; return"
	}
	return "return " + call
}
