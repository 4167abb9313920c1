package provider

import (
	"context"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Logger shows messages to the user; pulumi's provider.HostClient is one.
type Logger interface {
	// Log shows a lasting message.
	Log(ctx context.Context, severity diag.Severity, urn resource.URN, message string) error
	// LogStatus shows a message beside the resource until the next one.
	LogStatus(ctx context.Context, severity diag.Severity, urn resource.URN, message string) error
}

// note shows a message; that it cannot be shown is no reason to fail.
func (p *Provider) note(ctx context.Context, severity diag.Severity, urn resource.URN, message string) {
	if p.log != nil {
		_ = p.log.Log(context.WithoutCancel(ctx), severity, urn, message)
	}
}

func (p *Provider) progress(ctx context.Context, urn resource.URN, message string) {
	if p.log != nil {
		_ = p.log.LogStatus(context.WithoutCancel(ctx), diag.Info, urn, message)
	}
}
