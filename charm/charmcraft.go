package charm

import (
	"io/fs"

	"gopkg.in/yaml.v3"
)

// A madeFile is a file that is made from charmcraft.yaml and goes into the archive in place of one that is not there.
type madeFile struct {
	origin, prefix string // where its content is from, for messages
	data           []byte
}

// projected are the keys of charmcraft.yaml that belong into metadata.yaml.
func projected() []string {
	return []string{"name", "summary", "description", "subordinate", "provides", "requires", "peers", "storage", "resources",
		"devices", "payloads", "containers", "extra-bindings", "assumes", "terms", "charm-user"}
}

// project makes from charmcraft.yaml what a source tree leaves to charmcraft to write: metadata.yaml, or the
// names and texts it lacks, config.yaml, actions.yaml and manifest.yaml.
func project(fsys fs.FS) (map[string]madeFile, error) {
	data, found, err := readFile(fsys, charmcraftFile)
	if err != nil || !found {
		return nil, err
	}
	v := parse(charmcraftFile, "", data)
	made := map[string]madeFile{}
	if err := projectMetadata(fsys, v, made); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		file, key string
		content   *yaml.Node
	}{
		{configFile, "config", v.get("config").node},
		{actionsFile, "actions", v.get("actions").node},
		{manifestFile, "", manifest(basesOf(v))},
	} {
		there, err := exists(fsys, part.file)
		if err != nil {
			return nil, err
		}
		if !there && part.content != nil {
			made[part.file] = encode(v, part.key, part.content)
		}
	}
	return made, v.doc.err
}

func projectMetadata(fsys fs.FS, v value, made map[string]madeFile) error {
	data, found, err := readFile(fsys, metadataFile)
	if err != nil {
		return err
	}
	if kind := v.get("type"); !found && !kind.empty() {
		kind.word("charm", "charm")
	}
	have := parse(metadataFile, "", data)
	if have.doc.err != nil {
		return have.doc.err
	}
	keys := projected()
	if found {
		keys = keys[:3] // the name and the texts
	}
	out := &yaml.Node{Kind: yaml.MappingNode}
	if !have.empty() {
		out = have.node
	}
	added := false
	for _, key := range keys {
		if from := v.get(key); !from.empty() && have.get(key).empty() {
			out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, from.node)
			added = true
		}
	}
	if title := v.get("title"); !found && !title.empty() {
		out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "display-name"}, title.node)
	}
	if have.doc.err != nil {
		return have.doc.err
	}
	if !found || added {
		m := encode(v, "", out)
		if found {
			m.origin = metadataFile
		}
		made[metadataFile] = m
	}
	return nil
}

func manifest(bases []Base) *yaml.Node {
	if len(bases) == 0 {
		return nil
	}
	type base struct {
		Name          string   `yaml:"name"`
		Channel       string   `yaml:"channel"`
		Architectures []string `yaml:"architectures,omitempty"`
	}
	var list []base
	for _, b := range bases {
		list = append(list, base(b))
	}
	var n yaml.Node
	if err := n.Encode(map[string][]base{"bases": list}); err != nil {
		panic(err) // strings always encode
	}
	return &n
}

// encode makes a file of what the value of charmcraft.yaml says.
func encode(v value, prefix string, content *yaml.Node) madeFile {
	data, err := yaml.Marshal(content)
	if err != nil {
		v.fail("cannot be written again: %v", err)
	}
	return madeFile{charmcraftFile, prefix, data}
}

func exists(fsys fs.FS, name string) (bool, error) {
	_, found, err := readFile(fsys, name)
	return found, err
}
