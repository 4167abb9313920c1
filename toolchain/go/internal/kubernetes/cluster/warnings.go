package cluster

import "context"

// WarningFunc receives warnings of the API server, such as "would violate PodSecurity".
type WarningFunc func(ctx context.Context, text string)

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (f WarningFunc) HandleWarningHeaderWithContext(ctx context.Context, code int, _ string, text string) {
	const miscellaneous = 299 // the only code that Kubernetes uses
	if f != nil && code == miscellaneous && text != "" {
		f(ctx, text)
	}
}
