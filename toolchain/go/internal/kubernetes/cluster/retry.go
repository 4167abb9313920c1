package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
)

// RetryBudget is how long an operation is tried against a server that is down or busy.
const RetryBudget = 30 * time.Second

// UnreachableError says that the API server gave no answer within the budget.
type UnreachableError struct {
	Server string
	Budget time.Duration
	Err    error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("Kubernetes API server %s did not answer within %s: %v; "+
		"start the cluster or correct the provider's kubeconfig and context", e.Server, e.Budget, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// unanswered tells whether a request got no answer from an API server.
func unanswered(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	// A TLS alert is an answer: the credentials or certificates do not fit.
	if errors.As(err, &op) && op.Op != "remote error" || errors.As(err, &dns) {
		return true
	}
	return utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) ||
		utilnet.IsHTTP2ConnectionLost(err) || utilnet.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded)
}

// overloaded tells whether the server asks to come back later, or failed on its side.
func overloaded(err error) bool {
	return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}

// settling tells whether an error comes from things that are being created at the same time:
// a namespace, a CRD, a quota that has not been counted yet, a token controller's secret.
func settling(err error) bool {
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return true
	}
	return apierrors.IsForbidden(err) &&
		(strings.Contains(err.Error(), "status unknown for quota") || strings.Contains(err.Error(), "error looking up service account"))
}

// retry runs an idempotent request until it succeeds or fails for good. Errors for which
// also(err) holds are tried again too, within half the budget.
func (c *Client) retry(ctx context.Context, also func(error) bool, request func(context.Context) error) error {
	start := time.Now()
	backoff := wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 32, Cap: 4 * time.Second}
	for {
		attempt, cancel := context.WithTimeout(ctx, c.requestTimeout)
		err := request(attempt)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		budget := c.budget
		switch {
		case unanswered(err), overloaded(err):
		case also != nil && also(err):
			budget /= 2
			c.mapper.Reset()
		default:
			return err
		}
		delay := backoff.Step()
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
			delay = max(delay, time.Duration(seconds)*time.Second)
		}
		if time.Since(start)+delay > budget {
			if unanswered(err) {
				return &UnreachableError{c.server, budget, err}
			}
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
		case <-time.After(delay):
		}
	}
}
