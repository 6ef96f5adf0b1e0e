// Command health says what GitOps tools would make of objects: the verdict of
// Argo CD, by its Lua health script, and kstatus, by which Flux and Helm wait.
//
//	health --lua health.lua PATH...
//
// A PATH is a file of YAML or JSON objects or a directory of such files. One
// line of JSON for each object goes to standard output:
//
//	{"file":"a.yaml","object":"RoutingEntry/a","argo":{"status":"Healthy","message":""},"kstatus":{"status":"Current","message":"..."}}
//
// It exits with 1 when a script failed or a file could not be read.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type line struct {
	File    string  `json:"file"`
	Object  string  `json:"object"`
	Argo    verdict `json:"argo"`
	Kstatus verdict `json:"kstatus"`
}

func main() {
	script := flag.String("lua", "", "the Argo CD health script, a Lua file")
	flag.Parse()
	if *script == "" || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: health --lua health.lua PATH...")
		os.Exit(2)
	}
	if err := run(*script, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run judges every object; also after a failure, so that one run tells everything.
func run(script string, paths []string, out io.Writer) error {
	source, err := os.ReadFile(script)
	if err != nil {
		return err
	}
	files, failure := collect(paths)
	encoder := json.NewEncoder(out)
	for _, file := range files {
		objects, err := read(file)
		failure = errors.Join(failure, err)
		for _, object := range objects {
			judged, err := judge(file, object, string(source))
			if err != nil {
				failure = errors.Join(failure, fmt.Errorf("%s: %w", file, err))
			}
			if err := encoder.Encode(judged); err != nil {
				return err
			}
		}
	}
	return failure
}

func judge(file string, object *unstructured.Unstructured, script string) (line, error) {
	judged := line{File: file, Object: object.GetKind() + "/" + object.GetName()}
	var failure error
	judged.Argo, failure = argo(object, script)
	computed, err := status.Compute(object)
	if err != nil {
		judged.Kstatus = verdict{Status: "Unknown", Message: err.Error()}
		return judged, errors.Join(failure, fmt.Errorf("kstatus: %w", err))
	}
	judged.Kstatus = verdict{Status: computed.Status.String(), Message: computed.Message}
	return judged, failure
}

// collect returns files as they are named, and those of directories in the
// order of their names.
func collect(paths []string) (files []string, failure error) {
	for _, path := range paths {
		err := filepath.WalkDir(path, func(found string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			switch filepath.Ext(found) {
			case ".yaml", ".yml", ".json":
			default:
				if found != path {
					return nil
				}
			}
			if !entry.IsDir() {
				files = append(files, found)
			}
			return nil
		})
		failure = errors.Join(failure, err)
	}
	return files, failure
}

// read returns the objects before the first that cannot be read, and that one's error.
func read(file string) ([]*unstructured.Unstructured, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var objects []*unstructured.Unstructured
	for {
		var document json.RawMessage
		if err := decoder.Decode(&document); err == io.EOF {
			return objects, nil
		} else if err != nil {
			return objects, fmt.Errorf("%s: %w", file, err)
		}
		if len(document) == 0 || string(document) == "null" {
			continue
		}
		// Not the map that YAML gives: whole numbers must be int64, as from an API server.
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(document); err != nil {
			return objects, fmt.Errorf("%s: %w", file, err)
		}
		objects = append(objects, object)
	}
}
