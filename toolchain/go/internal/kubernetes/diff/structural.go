// Package diff compares inputs with recorded and live objects and decides which changes
// need a replacement.
package diff

import (
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// Kind of a change of one value.
type Kind int

// The kinds of changes.
const (
	Add Kind = iota
	Delete
	Update
)

// Change of one value.
type Change struct {
	Path resource.PropertyPath
	Kind Kind
}

// Structural lists the changes from old to new, sorted by path. Unknown values count as changed.
func Structural(old, new map[string]any) []Change {
	var changes []Change
	compareMaps(nil, old, new, &changes)
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path.String(), b.Path.String()) })
	return changes
}

func compare(path resource.PropertyPath, old, new any, changes *[]Change) {
	switch n := new.(type) {
	case map[string]any:
		if o, ok := old.(map[string]any); ok {
			compareMaps(path, o, n, changes)
			return
		}
	case []any:
		if o, ok := old.([]any); ok {
			compareLists(path, o, n, changes)
			return
		}
	}
	if !object.Equal(old, new) {
		*changes = append(*changes, Change{path, Update})
	}
}

func compareMaps(path resource.PropertyPath, old, new map[string]any, changes *[]Change) {
	for k, n := range new {
		at := append(slices.Clip(path), k)
		if o, ok := old[k]; ok {
			compare(at, o, n, changes)
		} else {
			*changes = append(*changes, Change{at, Add})
		}
	}
	for k := range old {
		if _, ok := new[k]; !ok {
			*changes = append(*changes, Change{append(slices.Clip(path), k), Delete})
		}
	}
}

func compareLists(path resource.PropertyPath, old, new []any, changes *[]Change) {
	for i := range max(len(old), len(new)) {
		at := append(slices.Clip(path), i)
		switch {
		case i >= len(old):
			*changes = append(*changes, Change{at, Add})
		case i >= len(new):
			*changes = append(*changes, Change{at, Delete})
		default:
			compare(at, old[i], new[i], changes)
		}
	}
}

// Ignore drops changes at or below the paths of ignoreChanges.
func Ignore(changes []Change, paths []string) ([]Change, error) {
	for _, text := range paths {
		ignored, err := resource.ParsePropertyPath(text)
		if err != nil {
			return nil, err
		}
		changes = slices.DeleteFunc(changes, func(c Change) bool { return ignored.Contains(c.Path) })
	}
	return changes, nil
}

// Merge unites two lists of changes; where both name a path the first one counts.
func Merge(first, second []Change) []Change {
	out := slices.Clone(first)
	for _, c := range second {
		if !slices.ContainsFunc(first, func(f Change) bool {
			return f.Path.Contains(c.Path) || c.Path.Contains(f.Path)
		}) {
			out = append(out, c)
		}
	}
	return out
}
