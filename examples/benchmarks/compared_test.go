package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The versions that the page names are those that are run here.
func TestComparedVersions(t *testing.T) {
	page, err := os.ReadFile("../../.github/COMPARED.md")
	require.NoError(t, err)
	mod, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	direct, _, _ := strings.Cut(string(mod), "\n)\n")
	modules := regexp.MustCompile(`(?m)^\t(\S+) (v[0-9.]+)(\S*)$`).FindAllStringSubmatch(direct, -1)
	require.NotEmpty(t, modules)
	for _, m := range modules {
		switch m[1] {
		case "github.com/stretchr/testify", "github.com/mainstay-go/mainstay", "github.com/cncf/xds/go": // which is for gRPC
			continue
		}
		version := m[2] + m[3]
		if _, commit, pseudo := strings.Cut(version, "v0.0.0-"); pseudo {
			version = commit[len("20060102150405-"):][:7]
		}
		module := strings.TrimSuffix(m[1], "/v2")
		linked := regexp.MustCompile(`\(https://[^)]*` + regexp.QuoteMeta(module) + `[^)]*\) ` + regexp.QuoteMeta(version) + `[, ]`)
		assert.True(t, linked.Match(page), "%s %s", m[1], version)
	}
}
