// Package manifest reads files of Kubernetes objects: YAML or JSON, of any number of documents.
package manifest

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Document is one object in a file.
type Document struct {
	// File that it stands in, Number of its document there, from 1 on, and, where that is a list, Item, from 1 on.
	File         string
	Number, Item int
	// JSON is the object, as the API server would be sent it.
	JSON []byte
	// Object is the same, decoded.
	Object *unstructured.Unstructured
}

// Place names where the document stands, for messages: file:document.
func (d Document) Place() string {
	if d.Item > 0 {
		return fmt.Sprintf("%s:%d, item %d", d.File, d.Number, d.Item)
	}
	return fmt.Sprintf("%s:%d", d.File, d.Number)
}

// Fault is what is wrong with a document that is no object.
type Fault struct {
	File   string
	Number int
	Err    error
}

func (f *Fault) Error() string { return fmt.Sprintf("%s:%d: %v", f.File, f.Number, f.Err) }
func (f *Fault) Unwrap() error { return f.Err }

// Read reads all objects of a file. Empty documents are counted and left out, and lists are read as their items. What is
// no object is a Fault, one for each such document, beside the objects of the others.
func Read(file string, r io.Reader) ([]Document, []error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", file, err)}
	}
	var documents []Document
	var faults []error
	for i, text := range split(content) {
		read, err := objects(text)
		if err != nil {
			faults = append(faults, &Fault{file, i + 1, err})
			continue
		}
		for item, d := range read {
			d.File, d.Number = file, i+1
			if len(read) > 1 {
				d.Item = item + 1
			}
			documents = append(documents, d)
		}
	}
	return documents, faults
}

// split cuts a file at the lines that begin a document (YAML 1.2.2, section 9.1.4). What stands before the first of them is
// a document only if it is more than comments.
func split(content []byte) [][]byte {
	const marker = "---"
	texts := [][]byte{nil}
	for line := range bytes.Lines(content) {
		rest, begins := bytes.CutPrefix(line, []byte(marker))
		if !begins || len(bytes.TrimSpace(rest)) > 0 && rest[0] != ' ' && rest[0] != '\t' {
			texts[len(texts)-1] = append(texts[len(texts)-1], line...)
			continue
		}
		if len(texts) == 1 && commentsAlone(texts[0]) {
			texts = nil
		}
		texts = append(texts, slices.Clone(rest))
	}
	return texts
}

func commentsAlone(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// objects reads a document: none if it is empty, several if it is a list.
func objects(text []byte) ([]Document, error) {
	// Strict: of a key that stands twice only the last would count.
	encoded, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(bytes.TrimSpace(encoded), []byte("null")) {
		return nil, nil
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(encoded); err != nil {
		return nil, fmt.Errorf("no Kubernetes object: %w", err)
	}
	if !object.IsList() {
		return []Document{{JSON: encoded, Object: object}}, nil
	}
	list, err := object.ToList()
	if err != nil {
		return nil, fmt.Errorf("read the list: %w", err)
	}
	items := make([]Document, 0, len(list.Items))
	for i := range list.Items {
		encoded, err := list.Items[i].MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("read item %d of the list: %w", i+1, err)
		}
		items = append(items, Document{JSON: encoded, Object: &list.Items[i]})
	}
	return items, nil
}
