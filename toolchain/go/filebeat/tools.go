//go:build tools

// Package tools names the commands that are built from this module beside our own.
package tools

import _ "github.com/breml/logstash-config/cmd/mustache"
