package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"autoglm.dev/platform/toolchain/internal/kubernetes/await"
	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
	"autoglm.dev/platform/toolchain/internal/kubernetes/diff"
	"autoglm.dev/platform/toolchain/internal/kubernetes/object"
)

// Diff unites two comparisons: new inputs with the recorded ones, and, when the API server
// answers, with the live object by a dry-run apply. The second one sees edits by hand and
// fields that the server refuses to change.
func (p *Provider) Diff(ctx context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	d, err := parseDesired(req.GetUrn(), req.GetNews())
	if err != nil {
		return nil, err
	}
	ctx, done := p.scope(planning(ctx), d.urn)
	defer done()
	recorded, err := parseState(req.GetOlds(), req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	inputs := object.Normalize(d.inputs)
	canonicalNamespace(p, d.kind, inputs, recorded)

	changes := diff.Structural(object.Normalize(recorded.Inputs), inputs)
	if changes, err = diff.Ignore(changes, req.GetIgnoreChanges()); err != nil {
		return nil, err
	}
	rules := diff.Rules{
		GVK: d.kind.GVK, Patch: d.kind.Patch,
		MutableConfigMaps: p.settings.MutableConfigMaps, MutableSecrets: p.settings.MutableSecrets,
	}
	replaces := rules.Replaces(changes, recorded.Live)
	fromInputs := len(changes)
	if len(replaces) == 0 && !object.HasUnknowns(inputs) {
		if client := p.planClient(ctx); client != nil {
			found := p.compareLive(ctx, client, d, inputs, recorded, changes)
			drift, err := diff.Ignore(found.drift, req.GetIgnoreChanges())
			if err != nil {
				return nil, err
			}
			p.tellDrift(ctx, d, drift, changes, found.live)
			changes = diff.Merge(changes, drift)
			replaces = append(rules.Replaces(changes, recorded.Live), found.refused...)
			if found.unready {
				replaces = append(replaces, diff.Change{Path: readyPath, Kind: diff.Update})
				changes = append(changes, diff.Change{Path: readyPath, Kind: diff.Update})
			}
		}
	}
	response := &pulumirpc.DiffResponse{
		Changes: pulumirpc.DiffResponse_DIFF_NONE, HasDetailedDiff: true,
		DetailedDiff: make(map[string]*pulumirpc.PropertyDiff, len(changes)),
	}
	for i, c := range changes {
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
		response.DetailedDiff[c.Path.String()] = &pulumirpc.PropertyDiff{Kind: plainKinds[c.Kind], InputDiff: i < fromInputs}
	}
	for _, c := range replaces {
		path := c.Path.String()
		response.Replaces = append(response.Replaces, path)
		response.DetailedDiff[path].Kind = replaceKinds[c.Kind]
	}
	response.DeleteBeforeReplace = len(replaces) > 0 && diff.DeleteFirst(inputs, recorded.Live)
	return response, nil
}

var (
	plainKinds = map[diff.Kind]pulumirpc.PropertyDiff_Kind{
		diff.Add: pulumirpc.PropertyDiff_ADD, diff.Delete: pulumirpc.PropertyDiff_DELETE, diff.Update: pulumirpc.PropertyDiff_UPDATE,
	}
	replaceKinds = map[diff.Kind]pulumirpc.PropertyDiff_Kind{
		diff.Add: pulumirpc.PropertyDiff_ADD_REPLACE, diff.Delete: pulumirpc.PropertyDiff_DELETE_REPLACE,
		diff.Update: pulumirpc.PropertyDiff_UPDATE_REPLACE,
	}
	readyPath   = resource.PropertyPath{"metadata", "annotations", object.AnnotationReplaceUnready}
	missingPath = resource.PropertyPath{"metadata", "uid"} // a new object will have a new one
)

// canonicalNamespace makes "no namespace" and "default" the same for kinds that have namespaces.
func canonicalNamespace(p *Provider, kind object.Type, inputs map[string]any, recorded object.State) {
	live := object.Namespace(recorded.Live)
	if live == "" || p.namespace != "" && live != p.namespace {
		return
	}
	for _, tree := range []map[string]any{inputs, recorded.Inputs} {
		if m := object.Metadata(tree); m != nil && !object.HasNamespace(tree) {
			m["namespace"] = live
		}
	}
}

// comparison of inputs with the live object.
type comparison struct {
	live    map[string]any
	drift   []diff.Change
	refused []diff.Change
	unready bool
}

func (p *Provider) compareLive(
	ctx context.Context, client *cluster.Client, d *desired, inputs map[string]any, recorded object.State, changes []diff.Change,
) comparison {
	var c comparison
	live, err := client.Get(ctx, cluster.RefOf(recorded.Live))
	if apierrors.IsNotFound(err) && !d.kind.Patch && !expires(inputs) {
		p.note(ctx, diag.Warning, d.urn, fmt.Sprintf("%s does not exist any more; it is created again", cluster.RefOf(recorded.Live)))
		c.drift = []diff.Change{{Path: missingPath, Kind: diff.Update}}
	}
	if err != nil {
		return c
	}
	c.live = live
	c.unready = object.IsTrue(inputs, object.AnnotationReplaceUnready) && d.kind.GVK.Kind == "Job" && jobFailed(ctx, client, live)
	manager, err := fieldManager(inputs, recorded.FieldManager)
	if err != nil {
		return c
	}
	applied, err := client.Apply(ctx, inputs, cluster.ApplyOptions{FieldManager: manager, Force: true, DryRun: true})
	if err != nil {
		// What else the server has to say is said by the update itself.
		c.refused = diff.Refused(changes, err)
		return c
	}
	c.drift = diff.Structural(diff.LiveInputs(inputs, applied, live), inputs)
	return c
}

// expires tells whether an object is meant to vanish on its own.
func expires(inputs map[string]any) bool {
	_, ok, _ := unstructured.NestedFieldNoCopy(inputs, "spec", "ttlSecondsAfterFinished")
	return ok
}

func jobFailed(ctx context.Context, client *cluster.Client, live map[string]any) bool {
	result, err := await.Check(ctx, client.Typed, live)
	return err == nil && result.State == await.Failed
}

// tellDrift says what the cluster has where a diff can only show inputs.
func (p *Provider) tellDrift(ctx context.Context, d *desired, drift, changes []diff.Change, live map[string]any) {
	var lines []string
	for _, c := range drift {
		if c.Path.String() == missingPath.String() || covered(changes, c) {
			continue
		}
		line := c.Path.String()
		if d.kind.GVK.Kind != "Secret" && live != nil {
			if v, ok := c.Path.Get(resource.NewProperty(object.ToProperties(live))); ok && !v.IsObject() && !v.IsArray() {
				line += fmt.Sprintf(" (now %v)", v.V)
			}
		}
		lines = append(lines, line)
	}
	if len(lines) > 0 {
		p.note(ctx, diag.Info, d.urn, d.redact.Redact("changed in the cluster: "+strings.Join(lines, ", ")))
	}
}

func covered(changes []diff.Change, c diff.Change) bool {
	for _, known := range changes {
		if known.Path.Contains(c.Path) || c.Path.Contains(known.Path) {
			return true
		}
	}
	return false
}
