package object

import (
	"encoding/base64"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// MarkSecrets carries secretness from one property map to another of about the same
// shape. The payload of a Kubernetes Secret is always secret.
//
// Objects are followed key by key so that one secret does not hide a whole Deployment;
// an array with a secret in it becomes secret as a whole, as its order may change.
func MarkSecrets(out, from resource.PropertyMap) {
	if out == nil {
		return
	}
	if kind, ok := out["kind"]; ok && kind.IsString() && kind.StringValue() == "Secret" {
		for _, key := range []resource.PropertyKey{"data", "stringData"} {
			if v, ok := out[key]; ok && !v.IsSecret() {
				out[key] = resource.MakeSecret(v)
			}
		}
	}
	for key, in := range from {
		v, ok := out[key]
		switch {
		case !ok || v.IsSecret():
		case v.IsObject() && in.IsObject():
			MarkSecrets(v.ObjectValue(), in.ObjectValue())
		case in.ContainsSecrets():
			out[key] = resource.MakeSecret(v)
		}
	}
}

// minRedacted is the length from which a secret string is worth hiding in messages;
// shorter ones would blot out ordinary words.
const minRedacted = 4

// Redactor hides secret values in text meant for people.
type Redactor struct{ replacer *strings.Replacer }

// NewRedactor collects the secret strings of property maps, and for the payload of
// Kubernetes Secrets their decoded form too.
func NewRedactor(maps ...resource.PropertyMap) *Redactor {
	found := map[string]bool{}
	for _, pm := range maps {
		if kind, ok := pm["kind"]; ok && kind.IsString() && kind.StringValue() == "Secret" {
			collect(pm["data"], true, found)
			collect(pm["stringData"], true, found)
		}
		collect(resource.NewProperty(pm), false, found)
	}
	words := make([]string, 0, len(found))
	for w := range found {
		words = append(words, w)
	}
	// Longest first: a secret may be part of another one.
	sort.Slice(words, func(i, j int) bool { return len(words[i]) > len(words[j]) })
	pairs := make([]string, 0, 2*len(words))
	for _, w := range words {
		pairs = append(pairs, w, "[secret]")
	}
	return &Redactor{strings.NewReplacer(pairs...)}
}

func collect(v resource.PropertyValue, secret bool, found map[string]bool) {
	switch {
	case v.IsSecret():
		collect(v.SecretValue().Element, true, found)
	case v.IsObject():
		for _, e := range v.ObjectValue() {
			collect(e, secret, found)
		}
	case v.IsArray():
		for _, e := range v.ArrayValue() {
			collect(e, secret, found)
		}
	case secret && v.IsString():
		s := v.StringValue()
		if len(s) >= minRedacted {
			found[s] = true
		}
		if raw, err := base64.StdEncoding.DecodeString(s); err == nil && len(raw) >= minRedacted {
			found[string(raw)] = true
		}
	}
}

// Redact returns the text without the secrets.
func (r *Redactor) Redact(text string) string {
	if r == nil {
		return text
	}
	return r.replacer.Replace(text)
}
