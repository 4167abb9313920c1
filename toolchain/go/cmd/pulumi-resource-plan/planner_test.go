package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

const urn = "urn:pulumi:prod::platform::aws:ec2/vpc:Vpc::main"

var (
	ctx = context.Background()
	aws = &planner{name: "aws", version: "7.1.0"}
)

func properties(t *testing.T, values map[string]any) *structpb.Struct {
	t.Helper()
	encoded, err := plugin.MarshalProperties(resource.NewPropertyMapFromMap(values),
		plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true})
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestNameAndVersionComeFromThePluginDirectory(t *testing.T) {
	for path, want := range map[string][2]string{
		"/home/plugins/resource-aws-v7.1.0/pulumi-resource-aws":                       {"aws", "7.1.0"},
		"/home/plugins/resource-aws-native-v1.0.0-alpha.2/pulumi-resource-aws-native": {"aws-native", "1.0.0-alpha.2"},
	} {
		name, version, err := identify(path)
		if err != nil || name != want[0] || version != want[1] {
			t.Errorf("%s: got %s %s, %v", path, name, version, err)
		}
	}
	if _, _, err := identify("/usr/bin/pulumi-resource-aws"); err == nil {
		t.Error("a plugin outside a plugin directory has no version")
	}
}

func TestPluginInfoIsTheInstalledVersion(t *testing.T) {
	info, err := aws.GetPluginInfo(ctx, &emptypb.Empty{})
	if err != nil || info.GetVersion() != "7.1.0" {
		t.Errorf("got %v, %v", info, err)
	}
}

func TestPreviewKeepsInputsAndInventsNoOutputs(t *testing.T) {
	inputs := properties(t, map[string]any{"cidrBlock": "10.0.0.0/16"})
	created, err := aws.Create(ctx, &pulumirpc.CreateRequest{Urn: urn, Properties: inputs, Preview: true})
	if err != nil {
		t.Fatal(err)
	}
	if created.GetId() != "" {
		t.Errorf("the ID must stay unknown, got %q", created.GetId())
	}
	if len(created.GetProperties().GetFields()) != 1 {
		t.Errorf("got outputs %v", created.GetProperties())
	}
}

func TestOutsideAPreviewEverythingIsRefused(t *testing.T) {
	_, create := aws.Create(ctx, &pulumirpc.CreateRequest{Urn: urn})
	_, update := aws.Update(ctx, &pulumirpc.UpdateRequest{Urn: urn})
	_, remove := aws.Delete(ctx, &pulumirpc.DeleteRequest{Urn: urn})
	_, read := aws.Read(ctx, &pulumirpc.ReadRequest{Urn: urn, Id: "vpc-1"})
	_, invoke := aws.Invoke(ctx, &pulumirpc.InvokeRequest{Tok: "aws:index/getRegion:getRegion"})
	for name, err := range map[string]error{
		"create": create, "update": update, "delete": remove, "read": read, "invoke": invoke,
	} {
		if err == nil || !strings.Contains(err.Error(), "resource-aws-v7.1.0 only plans") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCheckRefusesForeignAndMalformedTypes(t *testing.T) {
	for token, reason := range map[string]string{
		"aws:ec2/vpc:Vpc":               "",
		"gcp:container/cluster:Cluster": "belongs to provider gcp",
		"aws:Vpc":                       "is no resource type",
	} {
		response, err := aws.Check(ctx, &pulumirpc.CheckRequest{
			Urn: urn, Type: token, News: properties(t, map[string]any{"cidrBlock": resource.Computed{}}),
		})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for _, failure := range response.GetFailures() {
			got += failure.GetReason()
		}
		if (reason == "") != (got == "") || !strings.Contains(got, reason) {
			t.Errorf("%s: got failure %q, want %q", token, got, reason)
		}
	}
}

func TestDiffNamesTheChangedInputs(t *testing.T) {
	request := &pulumirpc.DiffRequest{
		Urn:       urn,
		OldInputs: properties(t, map[string]any{"cidrBlock": "10.0.0.0/16", "tags": map[string]any{"a": "1"}}),
		News:      properties(t, map[string]any{"cidrBlock": "10.0.0.0/16", "tags": map[string]any{"a": "2"}}),
	}
	changed, err := aws.Diff(ctx, request)
	if err != nil || changed.GetChanges() != pulumirpc.DiffResponse_DIFF_SOME ||
		!slices.Equal(changed.GetDiffs(), []string{"tags"}) {
		t.Errorf("got %v, %v", changed, err)
	}
	request.News = request.OldInputs
	same, err := aws.Diff(ctx, request)
	if err != nil || same.GetChanges() != pulumirpc.DiffResponse_DIFF_NONE {
		t.Errorf("got %v, %v", same, err)
	}
}
