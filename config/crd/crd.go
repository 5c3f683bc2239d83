// Package crd holds the CustomResourceDefinitions as they are installed, for tools that know the kinds without a cluster.
package crd

import "embed"

// Bases are the files of the definitions, under bases/.
//
//go:embed bases/*.yaml
var Bases embed.FS
