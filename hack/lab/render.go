package main

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed templates
var templates embed.FS

// render fills in the template of that name. A name that the data lacks is an error.
func render(name string, data any) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, fmt.Errorf("read the template %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("fill in the template %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// renderFile writes the filled-in template to the path, for root alone: some hold keys.
func renderFile(path, name string, data any) error {
	content, err := render(name, data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make a directory for configuration: %w", err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// writeKubeconfig writes a kubeconfig with everything in it, for the holder of the certificate.
func writeKubeconfig(path, apiServerAddress, certificate string) error {
	data := struct{ Server, User, Authority, Certificate, Key string }{
		Server: "https://" + apiServerAddress + ":" + apiServerPort,
		User:   certificate,
	}
	for file, target := range map[string]*string{
		certificateFile("ca"):        &data.Authority,
		certificateFile(certificate): &data.Certificate,
		keyFile(certificate):         &data.Key,
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read what a kubeconfig holds: %w", err)
		}
		*target = base64.StdEncoding.EncodeToString(content)
	}
	return renderFile(path, "kubeconfig.yaml", data)
}
