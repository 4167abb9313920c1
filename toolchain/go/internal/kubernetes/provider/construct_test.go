package provider_test

import (
	"context"
	"net"
	"strings"
	"testing"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

const (
	tokenChart = "kubernetes:helm.sh/v4:Chart"
	parentURN  = "urn:pulumi:dev::test::autoglm:operators:Operator::cert-manager"
	otherURN   = "urn:pulumi:dev::test::autoglm:operators:Operator::eck-operator"
)

// monitor is the engine's end of a registration.
type monitor struct {
	pulumirpc.UnimplementedResourceMonitorServer

	seen *pulumirpc.RegisterResourceRequest
}

func (m *monitor) RegisterResource(
	_ context.Context, req *pulumirpc.RegisterResourceRequest,
) (*pulumirpc.RegisterResourceResponse, error) {
	m.seen = req
	return &pulumirpc.RegisterResourceResponse{Urn: "urn:of:" + req.GetName()}, nil
}

func startMonitor(t *testing.T) (*monitor, string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	server, m := grpc.NewServer(), &monitor{}
	pulumirpc.RegisterResourceMonitorServer(server, m)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return m, listener.Addr().String()
}

func TestChartIsPlannedWithoutItsContent(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "kubeconfig", "/does/not/exist")
	m, address := startMonitor(t)
	inputs := props(object{"chart": "oci://registry.example.com/charts/cert-manager", "version": "v1.21.0"})
	response, err := e.provider.Construct(t.Context(), &pulumirpc.ConstructRequest{
		Type: tokenChart, Name: "cert-manager", Parent: parentURN, DryRun: true, MonitorEndpoint: address,
		Inputs: wire(t, inputs), Dependencies: []string{parentURN, otherURN},
		InputDependencies: map[string]*pulumirpc.ConstructRequest_PropertyDependencies{"version": {Urns: []string{otherURN}}},
	})
	must(t, err)
	if response.GetUrn() != "urn:of:cert-manager" {
		t.Errorf("got %v", response)
	}
	if m.seen.GetType() != tokenChart || m.seen.GetParent() != parentURN || m.seen.GetCustom() || m.seen.GetRemote() {
		t.Errorf("registered as %v", m.seen)
	}
	if seen := unwire(t, m.seen.GetObject()); seen["version"].StringValue() != "v1.21.0" {
		t.Errorf("a reviewer does not see which chart: %v", seen)
	}
	of := m.seen.GetPropertyDependencies()
	if chart, version := of["chart"], of["version"].GetUrns(); chart == nil || len(chart.GetUrns()) != 0 ||
		len(version) != 1 || version[0] != otherURN {
		t.Errorf("arguments depend on more than they were made of: %v", of)
	}
}

func TestChartIsNotInstalledAndOtherComponentsAreNotEvenPlanned(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "kubeconfig", "/does/not/exist")
	m, address := startMonitor(t)
	for token, dryRun := range map[string]bool{tokenChart: false, "kubernetes:yaml/v2:ConfigGroup": true} {
		_, err := e.provider.Construct(t.Context(), &pulumirpc.ConstructRequest{
			Type: token, Name: "x", DryRun: dryRun, MonitorEndpoint: address,
		})
		if err == nil || !strings.Contains(err.Error(), "official plugin") {
			t.Errorf("%s: %v", token, err)
		}
	}
	if m.seen != nil {
		t.Errorf("registered: %v", m.seen)
	}
}
