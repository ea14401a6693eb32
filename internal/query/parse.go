package query

// A node is a part of a query.
type node interface{ where() span }

// A span is where in the text a part is, in bytes.
type span struct{ from, to int }

func (s span) where() span { return s }

type (
	// A literal is a value that stands in the query.
	literal struct {
		span
		value any
	}
	// A word is a field of what the query asks about, or the parameter of a forEach around it.
	word struct {
		span
		name string
		why  string // as in its Type; check fills it in
	}
	// A member is a field of an entity.
	member struct {
		span
		of      node
		field   string
		fieldAt int
		why     string // as in its Type; check fills it in
	}
	// An index is the element of a set that has that name.
	index struct {
		span
		of, key node
	}
	// A call is a function with its arguments, which are values.
	call struct {
		span
		function string
		args     []node
	}
	// An each holds when its body does for each element of the set.
	each struct {
		span
		set   node
		param string
		body  node
		kind  string // of the elements; check fills it in
	}
	// A group is what is in parentheses.
	group struct {
		span
		x node
	}
	// A not is the contrary.
	not struct {
		span
		x node
	}
	// A binary is a comparison, or two parts joined by && or ||.
	binary struct {
		span
		op   string
		x, y node
	}
)

// levels are the operators, those that bind the least first.
var levels = [][]string{{"||"}, {"&&"}, {"==", "!="}, {"<", ">", "<=", ">="}}

// maxDepth is how deep parts may lie in one another.
const maxDepth = 200

type parser struct {
	tokens []token
	depth  int
}

func (p *parser) peek() token { return p.tokens[0] }

// take is the next token. The end is never taken away.
func (p *parser) take() token {
	t := p.tokens[0]
	if t.kind != "end" {
		p.tokens = p.tokens[1:]
	}
	return t
}

// accept takes the next token if it is of that kind.
func (p *parser) accept(kind string) (token, bool) {
	if p.peek().kind != kind {
		return token{}, false
	}
	return p.take(), true
}

func (p *parser) expect(kind, why string) (token, error) {
	t, ok := p.accept(kind)
	if !ok {
		return t, p.unexpected(why)
	}
	return t, nil
}

// unexpected is the error that the next token is not what should be there.
func (p *parser) unexpected(wanted string) error {
	t := p.peek()
	switch t.kind {
	case "end":
		return faultf(t.from, "the query ends where %s should be", wanted)
	case "=>":
		return faultf(t.from, "=> belongs into forEach: forEach(units, unit => unit.life == \"alive\")")
	case "name":
		return faultf(t.from, "%s is where %s should be", t.text, wanted)
	case "string", "number":
		return faultf(t.from, "a %s is where %s should be", t.kind, wanted)
	}
	return faultf(t.from, "%s is where %s should be", t.kind, wanted)
}

func (p *parser) query() (node, error) {
	n, err := p.level(0)
	if err != nil {
		return nil, err
	}
	if p.peek().kind != "end" {
		return nil, p.unexpected("an operator, or the end,")
	}
	return n, nil
}

// level is parts joined by the operators of that level or of one that binds more.
func (p *parser) level(l int) (node, error) {
	if l == len(levels) {
		return p.unary()
	}
	x, err := p.level(l + 1)
	for err == nil {
		op, ok := p.operator(levels[l])
		if !ok {
			return x, nil
		}
		var y node
		if y, err = p.level(l + 1); err == nil {
			x = &binary{span{x.where().from, y.where().to}, op, x, y}
		}
	}
	return nil, err
}

func (p *parser) operator(of []string) (string, bool) {
	for _, op := range of {
		if _, ok := p.accept(op); ok {
			return op, true
		}
	}
	return "", false
}

func (p *parser) unary() (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, faultf(p.peek().from, "more than %d parts lie in one another", maxDepth)
	}
	defer func() { p.depth-- }()
	if t, ok := p.accept("!"); ok {
		x, err := p.unary()
		if err != nil {
			return nil, err
		}
		return &not{span{t.from, x.where().to}, x}, nil
	}
	x, err := p.primary()
	for err == nil {
		if _, ok := p.accept("."); ok {
			var t token
			if t, err = p.expect("name", "the name of a field"); err == nil {
				x = &member{span: span{x.where().from, t.to}, of: x, field: t.text, fieldAt: t.from}
			}
		} else if _, ok := p.accept("["); ok {
			var key node
			var t token
			if key, err = p.level(0); err == nil {
				t, err = p.expect("]", "]")
			}
			x = &index{span{x.where().from, t.to}, x, key}
		} else {
			return x, nil
		}
	}
	return nil, err
}

func (p *parser) primary() (node, error) {
	switch t := p.peek(); t.kind {
	case "number":
		p.take()
		return &literal{span{t.from, t.to}, t.number}, nil
	case "string":
		p.take()
		return &literal{span{t.from, t.to}, t.text}, nil
	case "(":
		p.take()
		x, err := p.level(0)
		if err != nil {
			return nil, err
		}
		end, err := p.expect(")", ")")
		return &group{span{t.from, end.to}, x}, err
	case "name":
		p.take()
		at := span{t.from, t.to}
		if t.text == "true" || t.text == "false" {
			return &literal{at, t.text == "true"}, nil
		}
		if _, ok := p.accept("("); ok {
			return p.call(t)
		}
		return &word{span: at, name: t.text}, nil
	}
	return nil, p.unexpected("a value")
}

// call is what follows "function(".
func (p *parser) call(function token) (node, error) {
	if function.text == "forEach" {
		return p.each(function)
	}
	n := &call{function: function.text}
	for p.peek().kind != ")" {
		if len(n.args) > 0 {
			if _, err := p.expect(",", ", or )"); err != nil {
				return nil, err
			}
		}
		arg, err := p.level(0)
		if err != nil {
			return nil, err
		}
		n.args = append(n.args, arg)
	}
	n.span = span{function.from, p.take().to}
	return n, nil
}

// each is what follows "forEach(".
func (p *parser) each(function token) (node, error) {
	set, err := p.level(0)
	if err != nil {
		return nil, err
	}
	if _, err := p.expect(",", ", and what is to hold for each element"); err != nil {
		return nil, err
	}
	param, err := p.expect("name", "a name for each element, as in forEach(units, unit => unit.life == \"alive\"),")
	if err != nil {
		return nil, err
	}
	if _, err := p.expect("=>", "=>, as in forEach(units, unit => unit.life == \"alive\"),"); err != nil {
		return nil, err
	}
	body, err := p.level(0)
	if err != nil {
		return nil, err
	}
	end, err := p.expect(")", ")")
	if err != nil {
		return nil, err
	}
	return &each{span: span{function.from, end.to}, set: set, param: param.text, body: body}, nil
}
