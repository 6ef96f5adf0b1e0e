package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The shape of a script as people write them for a kind with conditions.
const ready = `
hs = {}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "Ready" and condition.observedGeneration == obj.metadata.generation then
      hs.message = condition.message
      if condition.status == "True" then hs.status = "Healthy" else hs.status = "Degraded" end
      return hs
    end
  end
end
hs.status = "Progressing"
hs.message = "waiting"
return hs
`

const objects = `
apiVersion: example.test/v1
kind: Widget
metadata: {name: good, generation: 2}
status:
  observedGeneration: 2
  conditions: [{type: Ready, status: "True", observedGeneration: 2, message: all is well}]
---
---
apiVersion: example.test/v1
kind: Widget
metadata: {name: stale, generation: 3}
status:
  observedGeneration: 2
  conditions: [{type: Ready, status: "True", observedGeneration: 2, message: all was well}]
---
apiVersion: example.test/v1
kind: Widget
metadata: {name: bad, generation: 1}
status:
  observedGeneration: 1
  conditions: [{type: Ready, status: "False", observedGeneration: 1, reason: Broken, message: it broke}]
---
apiVersion: example.test/v1
kind: Widget
metadata: {name: leaving, generation: 1, deletionTimestamp: "2026-01-01T00:00:00Z"}
`

func write(t *testing.T, directory, name, content string) string {
	t.Helper()
	path := filepath.Join(directory, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func lines(t *testing.T, script string, paths ...string) (judged []line, failure error) {
	t.Helper()
	var out bytes.Buffer
	failure = run(write(t, t.TempDir(), "health.lua", script), paths, &out)
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var next line
		if err := decoder.Decode(&next); err != nil {
			t.Fatal(err)
		}
		judged = append(judged, next)
	}
	return judged, failure
}

func TestEveryObjectGetsBothVerdicts(t *testing.T) {
	directory := t.TempDir()
	file := write(t, directory, "widgets.yaml", objects)
	write(t, directory, "notes.txt", "no object")
	write(t, directory, "z.json", `{"apiVersion": "example.test/v1", "kind": "Widget", "metadata": {"name": "new", "generation": 1}}`)
	judged, err := lines(t, ready, directory)
	if err != nil {
		t.Fatal(err)
	}
	want := []line{
		{file, "Widget/good", verdict{"Healthy", "all is well"}, verdict{"Current", "Resource is Ready"}},
		{file, "Widget/stale", verdict{"Progressing", "waiting"}, verdict{"InProgress", "Widget generation is 3, but latest observed generation is 2"}},
		{file, "Widget/bad", verdict{"Degraded", "it broke"}, verdict{"InProgress", "it broke"}},
		{file, "Widget/leaving", verdict{"Progressing", "Pending deletion"}, verdict{"Terminating", "Resource scheduled for deletion"}},
		{filepath.Join(directory, "z.json"), "Widget/new", verdict{"Progressing", "waiting"}, verdict{"Current", "Resource is current"}},
	}
	if len(judged) != len(want) {
		t.Fatalf("%d lines: %+v", len(judged), judged)
	}
	for i := range want {
		if judged[i] != want[i] {
			t.Errorf("got  %+v\nwant %+v", judged[i], want[i])
		}
	}
}

func TestScriptsHaveOnlyWhatArgoGivesThem(t *testing.T) {
	file := write(t, t.TempDir(), "one.yaml", strings.Split(objects, "---")[0])
	cases := []struct{ what, script, status, message string }{
		{"no string library", `return {status = string.format("%s", "Healthy")}`, "Unknown", "attempt to index a non-table object(nil)"},
		{"no methods of strings", `return {status = ("Healthy"):lower()}`, "Unknown", "attempt to index a non-table object(string)"},
		{"no os unless required", `return {status = os.getenv("HOME")}`, "Unknown", "attempt to index a non-table object(nil)"},
		{"no environment", `return {status = require("os").getenv("HOME")}`, "Unknown", "attempt to call a non-function object"},
		{"the time", `if require("os").time() > 0 then return {status = "Healthy"} end`, "Healthy", ""},
		{"no endless loop", `while true do end`, "Unknown", "context deadline exceeded"},
		{"an unknown status", `return {status = "Fine"}`, "Unknown", "Lua returned an invalid health status"},
		{"another type", `return "Healthy"`, "Unknown", "expect table output from Lua script, not string"},
		{"nothing", `local x = 1`, "", ""},
		{"an empty table", `return {}`, "", ""},
	}
	for _, c := range cases {
		judged, _ := lines(t, c.script, file)
		if len(judged) != 1 || judged[0].Argo.Status != c.status || !strings.Contains(judged[0].Argo.Message, c.message) {
			t.Errorf("%s: %+v", c.what, judged)
		}
	}
}

func TestFailuresAreToldAndTheRestJudged(t *testing.T) {
	directory := t.TempDir()
	write(t, directory, "a.yaml", "kind: [")
	write(t, directory, "b.yaml", objects)
	judged, err := lines(t, ready, directory, filepath.Join(directory, "absent"))
	if err == nil || !strings.Contains(err.Error(), "a.yaml") || !strings.Contains(err.Error(), "absent") {
		t.Errorf("the error is %v", err)
	}
	if len(judged) != 4 {
		t.Errorf("%d lines: %+v", len(judged), judged)
	}
	if _, err := lines(t, `error("no")`, filepath.Join(directory, "b.yaml")); err == nil {
		t.Error("a failing script is no error")
	}
}
