package provider

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"autoglm.dev/platform/toolchain/internal/kubernetes/cluster"
)

// Settings of a provider resource, from its arguments or the environment.
type Settings struct {
	Cluster cluster.Settings
	// PatchForce takes fields over from other managers instead of reporting a conflict.
	PatchForce bool
	// Upsert lets a creation take over an object that exists.
	Upsert bool
	// MutableConfigMaps and MutableSecrets are updated in place instead of being replaced.
	MutableConfigMaps, MutableSecrets bool
	// DeleteUnreachable drops resources of a server that does not answer from the state.
	DeleteUnreachable bool
	// SkipUpdateUnreachable keeps them as they are recorded.
	SkipUpdateUnreachable bool
	// SuppressWarnings hides warnings of the API server about deprecated kinds.
	SuppressWarnings bool
}

// Rate of requests, the official plugin's defaults.
const (
	defaultQPS   = 50
	defaultBurst = 120
)

// lookup reads a setting from the provider's arguments, else from the environment.
type lookup struct {
	variables map[string]string
	getenv    func(string) (string, bool)
}

func (l lookup) text(key, env string) string {
	if v, ok := l.variables["kubernetes:config:"+key]; ok {
		return v
	}
	if env != "" {
		v, _ := l.getenv(env)
		return v
	}
	return ""
}

func (l lookup) flag(key, env string) bool { return l.text(key, env) == "true" }

// parseSettings reads what Configure is given. Unknown keys belong to features that are not
// served and are refused by CheckConfig where ignoring them would mislead.
func parseSettings(variables map[string]string) (Settings, error) {
	l := lookup{variables, os.LookupEnv}
	client, err := parseClientSettings(l)
	if err != nil {
		return Settings{}, err
	}
	client.Kubeconfig = l.text("kubeconfig", "")
	client.Context = l.text("context", "")
	client.Cluster = l.text("cluster", "")
	client.Namespace = l.text("namespace", "")
	return Settings{
		Cluster:               client,
		PatchForce:            l.flag("enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE"),
		Upsert:                l.flag("upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"),
		MutableConfigMaps:     l.flag("enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"),
		MutableSecrets:        l.flag("enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE"),
		DeleteUnreachable:     l.flag("deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
		SkipUpdateUnreachable: l.flag("skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"),
		SuppressWarnings:      l.flag("suppressDeprecationWarnings", "PULUMI_K8S_SUPPRESS_DEPRECATION_WARNINGS"),
	}, nil
}

func parseClientSettings(l lookup) (cluster.Settings, error) {
	var given struct {
		Burst   *int     `json:"burst"`
		QPS     *float64 `json:"qps"`
		Timeout *int     `json:"timeout"` // seconds
	}
	if text := l.text("kubeClientSettings", ""); text != "" {
		if err := json.Unmarshal([]byte(text), &given); err != nil {
			return cluster.Settings{}, fmt.Errorf("kubeClientSettings: %w", err)
		}
	}
	s := cluster.Settings{QPS: defaultQPS, Burst: defaultBurst}
	burst, err := number(given.Burst, "PULUMI_K8S_CLIENT_BURST", strconv.Atoi)
	if err != nil {
		return s, err
	}
	qps, err := number(given.QPS, "PULUMI_K8S_CLIENT_QPS", func(t string) (float64, error) { return strconv.ParseFloat(t, 64) })
	if err != nil {
		return s, err
	}
	seconds, err := number(given.Timeout, "PULUMI_K8S_CLIENT_TIMEOUT", strconv.Atoi)
	if err != nil {
		return s, err
	}
	if burst != nil {
		s.Burst = *burst
	}
	if qps != nil {
		s.QPS = float32(*qps)
	}
	if seconds != nil {
		s.Timeout = time.Duration(*seconds) * time.Second
	}
	return s, nil
}

func number[T any](given *T, env string, parse func(string) (T, error)) (*T, error) {
	text := os.Getenv(env)
	if given != nil || text == "" {
		return given, nil
	}
	v, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %q is not a number", env, text)
	}
	return &v, nil
}
