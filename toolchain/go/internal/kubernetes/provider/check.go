package provider

import (
	"context"
	"errors"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"autoglm.dev/platform/toolchain/internal/kubernetes/await"
	"autoglm.dev/platform/toolchain/internal/kubernetes/naming"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// Check completes inputs: kind, name, namespace, canonical values.
func (p *Provider) Check(ctx context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	d, err := parseDesired(req.GetUrn(), req.GetNews())
	if err != nil {
		return nil, err
	}
	ctx, done := p.scope(ctx, d.urn)
	defer done()
	if object.IsList(d.urn, d.inputs) {
		return nil, errors.New("list kinds exist for manifests only; declare the objects of the list themselves")
	}
	oldProps, err := unmarshal("olds", req.GetOlds())
	if err != nil {
		return nil, err
	}
	olds, err := object.FromProperties(oldProps)
	if err != nil {
		return nil, err
	}
	identify(d)
	inputs := object.Normalize(d.inputs)

	var failures []*pulumirpc.CheckFailure
	fail := func(property string, err error) {
		failures = append(failures, &pulumirpc.CheckFailure{Property: property, Reason: err.Error()})
	}
	if _, ok := object.Metadata(inputs)["generateName"]; ok && !object.HasName(inputs) {
		fail("metadata.generateName", errors.New("server-side apply needs a name; leave both out for an automatic one"))
	}
	if d.kind.Patch && !object.HasName(inputs) {
		fail("metadata.name", errors.New("a Patch resource must name the object that it patches"))
	} else if len(olds) > 0 {
		naming.Adopt(inputs, olds)
	}
	if !d.kind.Patch {
		// Objects that were autonamed keep their name; others get one here.
		if err := naming.Assign(inputs, d.urn, req.GetRandomSeed(), req.GetAutonaming()); err != nil {
			fail("metadata.name", err)
		}
	}
	if p.namespace != "" && !object.HasNamespace(inputs) && p.namespaced(ctx, d.kind) {
		if m := object.Metadata(inputs); m != nil {
			m["namespace"] = p.namespace
		}
	}
	if _, err := timeout(0, inputs); err != nil {
		fail("metadata.annotations", err)
	}
	if _, err := await.ParseWaitFor(inputs); err != nil {
		fail("metadata.annotations", err)
	}

	checked := object.ToProperties(inputs)
	object.MarkSecrets(checked, d.props)
	markStringData(checked, d.props)
	out, err := marshal("checked", checked)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CheckResponse{Inputs: out, Failures: failures}, nil
}

// identify sets what the type token says where the program left it out.
func identify(d *desired) {
	if _, ok := d.inputs["apiVersion"]; !ok {
		d.inputs["apiVersion"] = d.kind.GVK.GroupVersion().String()
	}
	if _, ok := d.inputs["kind"]; !ok {
		d.inputs["kind"] = d.kind.GVK.Kind
	}
	if _, ok := d.inputs["metadata"]; !ok {
		d.inputs["metadata"] = map[string]any{}
	}
}

// namespaced tells whether a kind has namespaces. A custom kind that the server does not know
// yet is taken to have them, which is the common case.
func (p *Provider) namespaced(ctx context.Context, kind object.Type) bool {
	if namespaced, known := object.BuiltinNamespaced(kind.GVK.GroupKind()); known {
		return namespaced
	}
	if client := p.planClient(ctx); client != nil {
		if namespaced, err := client.Namespaced(kind.GVK); err == nil {
			return namespaced
		}
	}
	return true
}

// markStringData carries the secretness of stringData to the data it became.
func markStringData(checked, given resource.PropertyMap) {
	if from, ok := given["stringData"]; ok && from.ContainsSecrets() {
		if data, ok := checked["data"]; ok && !data.IsSecret() {
			checked["data"] = resource.MakeSecret(data)
		}
	}
}
