package await

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/jsonpath"

	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// Expression is one condition of the pulumi.com/waitFor annotation.
type Expression struct {
	text string
	met  func(live map[string]any) (bool, error)
}

// ParseWaitFor reads the pulumi.com/waitFor annotation: one expression or a JSON array of
// them, each `condition=Type[=Status]` or `jsonpath={.path}[=value]`. Nil when it is absent.
func ParseWaitFor(inputs map[string]any) ([]Expression, error) {
	text := object.Annotation(inputs, object.AnnotationWaitFor)
	if text == "" {
		return nil, nil
	}
	var texts []string
	if json.Unmarshal([]byte(text), &texts) != nil {
		texts = []string{text}
	}
	expressions := make([]Expression, 0, len(texts))
	for _, t := range texts {
		e, err := parseExpression(t)
		if err != nil {
			return nil, fmt.Errorf("metadata.annotations[%q]: %q: %w", object.AnnotationWaitFor, t, err)
		}
		expressions = append(expressions, e)
	}
	if len(expressions) == 0 {
		return nil, fmt.Errorf("metadata.annotations[%q]: names no condition", object.AnnotationWaitFor)
	}
	return expressions, nil
}

func parseExpression(text string) (Expression, error) {
	if rest, ok := strings.CutPrefix(text, "condition="); ok {
		kind, want, ok := strings.Cut(rest, "=")
		if !ok {
			want = "True"
		}
		return Expression{text, func(live map[string]any) (bool, error) {
			conditions, _, _ := unstructured.NestedSlice(live, "status", "conditions")
			for _, c := range conditions {
				m, _ := c.(map[string]any)
				got, _ := m["status"].(string)
				if name, _ := m["type"].(string); strings.EqualFold(name, kind) && strings.EqualFold(got, want) {
					return true, nil
				}
			}
			return false, nil
		}}, nil
	}
	rest, ok := strings.CutPrefix(text, "jsonpath=")
	if !ok {
		return Expression{}, fmt.Errorf(`expected the prefix "jsonpath=" or "condition="`)
	}
	template, want, compare := rest, "", false
	if end := strings.LastIndex(rest, "}"); end >= 0 && strings.HasPrefix(rest[end+1:], "=") {
		template, want, compare = rest[:end+1], rest[end+2:], true
	}
	parsed := jsonpath.New("waitFor").AllowMissingKeys(true)
	if err := parsed.Parse(template); err != nil {
		return Expression{}, err
	}
	return Expression{text, func(live map[string]any) (bool, error) {
		var out bytes.Buffer
		if err := parsed.Execute(&out, live); err != nil {
			return false, err
		}
		if compare {
			return out.String() == want, nil
		}
		return out.Len() > 0, nil
	}}, nil
}

func checkExpressions(expressions []Expression, live map[string]any) (Result, error) {
	for _, e := range expressions {
		met, err := e.met(live)
		if err != nil {
			return Result{}, err
		}
		if !met {
			return Result{Pending, "waits for " + e.text}, nil
		}
	}
	return Result{State: Ready}, nil
}
