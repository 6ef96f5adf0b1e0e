package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

// What Argo CD takes as a status. Anything else shows as Unknown.
var argoStatuses = map[string]bool{
	"Unknown": true, "Progressing": true, "Suspended": true, "Healthy": true, "Degraded": true, "Missing": true,
}

// argo judges an object as Argo CD's util/lua does for a script that a user
// configured, without useOpenLibs.
func argo(object *unstructured.Unstructured, script string) (verdict, error) {
	if object.GetDeletionTimestamp() != nil {
		return verdict{Status: "Progressing", Message: "Pending deletion"}, nil
	}
	result, err := runScript(object, script)
	if err != nil {
		return verdict{Status: "Unknown", Message: err.Error()}, err
	}
	switch result.Type() {
	case lua.LTNil:
		return verdict{}, nil
	case lua.LTTable:
	default:
		err := fmt.Errorf("expect table output from Lua script, not %s", result.Type())
		return verdict{Status: "Unknown", Message: err.Error()}, err
	}
	encoded, err := luajson.Encode(result)
	if err != nil {
		return verdict{Status: "Unknown", Message: err.Error()}, err
	}
	var judged verdict
	if err := json.Unmarshal(encoded, &judged); err != nil {
		// Lua's empty table is an array to the encoder.
		if wrongType := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrongType) && wrongType.Value == "array" {
			return verdict{}, nil
		}
		return verdict{Status: "Unknown", Message: err.Error()}, err
	}
	if !argoStatuses[judged.Status] {
		return verdict{Status: "Unknown", Message: "Lua returned an invalid health status"}, nil
	}
	return judged, nil
}

// runScript gives the script the global obj, a second of time, and no libraries
// but base, package and table: a script that uses string.format fails here as it
// fails there. The os module exists only for who requires it, and tells the time.
func runScript(object *unstructured.Unstructured, script string) (lua.LValue, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		call := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
			return nil, err
		}
	}
	state.PreloadModule(lua.OsLibName, timeOnly)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", value(state, object.Object))
	if err := state.DoString(script); err != nil {
		if failure := (*lua.ApiError)(nil); errors.As(err, &failure) {
			return nil, errors.New(failure.Object.String()) // without the stack trace
		}
		return nil, err
	}
	return state.Get(-1), nil
}

// timeOnly is Lua's os module without what reads files, runs programs or exits.
func timeOnly(state *lua.LState) int {
	state.Push(state.NewFunction(lua.OpenOs))
	state.Call(0, 1)
	module := state.CheckTable(-1)
	var names []lua.LValue
	module.ForEach(func(name, _ lua.LValue) { names = append(names, name) })
	for _, name := range names {
		if name := name.String(); name != "time" && name != "date" {
			module.RawSetString(name, lua.LNil)
		}
	}
	state.SetGlobal(lua.OsLibName, lua.LNil)
	return 1
}

// value turns what JSON decodes to into what Lua sees.
func value(state *lua.LState, decoded any) lua.LValue {
	switch decoded := decoded.(type) {
	case bool:
		return lua.LBool(decoded)
	case int64:
		return lua.LNumber(decoded)
	case float64:
		return lua.LNumber(decoded)
	case string:
		return lua.LString(decoded)
	case []any:
		array := state.CreateTable(len(decoded), 0)
		for _, item := range decoded {
			array.Append(value(state, item))
		}
		return array
	case map[string]any:
		table := state.CreateTable(0, len(decoded))
		for key, item := range decoded {
			table.RawSetH(lua.LString(key), value(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
