package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sections are the parts of etcd's configuration file that have keys of their own. All of them belong to settings
// that mean nothing here, but for discovery.
var sections = []string{"client-transport-security", "peer-transport-security", "discovery-config", "socket-options"}

// readConfigFile reads a file in etcd's own format: YAML or JSON, its keys the names of the flags. A list is as good
// as commas. An unknown key is an error, because a setting that is misspelt is one that is not made.
func readConfigFile(path string, known []string) (map[string]given, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, inputError("--config-file: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(b, &document); err != nil {
		return nil, inputError("--config-file %s: %w", path, err)
	}
	if document.Kind == 0 {
		return nil, nil // empty
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, inputError("--config-file %s: line %d: expected settings, one \"name: value\" a line", path, top.Line)
	}
	values := map[string]given{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, node := top.Content[i], resolveAlias(top.Content[i+1])
		where := fmt.Sprintf("%s line %d: %s", path, key.Line, key.Value)
		value, err := fileValue(key.Value, node, known)
		if err != nil {
			return nil, inputError("%s %w", where, err)
		}
		if value != "" {
			values[key.Value] = given{value, fromFile, where}
		}
	}
	return values, nil
}

func resolveAlias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// fileValue returns a setting's value as text, empty where the file leaves it open.
func fileValue(name string, node *yaml.Node, known []string) (string, error) {
	_, isIgnored := etcdFlags[name]
	_, isRefused := refusedFlags[name]
	switch {
	case slices.Contains(sections, name):
		return "", nil
	case !isIgnored && !isRefused && !slices.Contains(known, name):
		return "", fmt.Errorf("is no setting%s", didYouMean(name, known, ""))
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return "", nil
	case node.Kind == yaml.ScalarNode:
		return node.Value, nil
	case node.Kind == yaml.SequenceNode:
		var items []string
		for _, item := range node.Content {
			if item = resolveAlias(item); item.Kind != yaml.ScalarNode {
				return "", fmt.Errorf("must be a list of words")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	case isIgnored:
		return "(section)", nil
	}
	return "", fmt.Errorf("must be one value")
}
