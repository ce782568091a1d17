package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// setting is one of the server's flags: its environment variables and its key in a configuration file have the same name.
type setting struct {
	name, value, usage string // value is the default
	kind               string // what pflag shows for the value; "bool" needs none
	apply              func(c *serverSettings, value string) error
}

// origin is where a setting's value comes from. Later ones win.
type origin int

const (
	fromDefault origin = iota
	fromFile
	fromEnvironment
	fromFlag
)

// given is a setting's value with where it comes from, in words for an error.
type given struct {
	value  string
	origin origin
	where  string
}

// textValue is a flag's value as text: all are parsed in one place, whichever way they came.
type textValue struct {
	text, kind string
}

func (v *textValue) String() string     { return v.text }
func (v *textValue) Set(s string) error { v.text = s; return nil }
func (v *textValue) Type() string       { return v.kind }

// addSettings adds the flags of settings, and hidden those of etcd that are ignored or refused.
func addSettings(fs *pflag.FlagSet, settings []setting) {
	for _, s := range settings {
		addText(fs, s.name, s.value, s.kind, s.usage)
	}
	for name, isBool := range etcdFlags {
		addHidden(fs, name, isBool)
	}
	for name := range refusedFlags {
		addHidden(fs, name, name == "force-new-cluster")
	}
}

func addText(fs *pflag.FlagSet, name, value, kind, usage string) {
	f := fs.VarPF(&textValue{value, kind}, name, "", usage)
	if kind == "bool" {
		f.NoOptDefVal = "true"
	}
}

func addHidden(fs *pflag.FlagSet, name string, isBool bool) {
	kind := "string"
	if isBool {
		kind = "bool"
	}
	addText(fs, name, "", kind, "")
	fs.Lookup(name).Hidden = true
}

// resolve finds each setting's value: flag over environment over file over default. The file's values come by name.
// The warnings say what was ignored.
func resolve(fs *pflag.FlagSet, settings []setting, environ []string, file map[string]given) (values map[string]given, warnings []string, err error) {
	values = map[string]given{}
	for _, s := range settings {
		values[s.name] = given{s.value, fromDefault, "--" + s.name}
	}
	known := func(name string) bool { return values[name].where != "" || name == "config-file" }
	for name, g := range file {
		values[name] = g
	}
	env, unknown := environment(environ, known)
	for name, g := range env {
		values[name] = g
	}
	for _, name := range unknown {
		warnings = append(warnings, fmt.Sprintf("%s is set, and no setting has that name: ignored", name))
	}
	fs.Visit(func(f *pflag.Flag) {
		if g, ok := env[f.Name]; ok && g.value != f.Value.String() {
			warnings = append(warnings, fmt.Sprintf("--%s on the command line is used, %s is not", f.Name, g.where))
		}
		values[f.Name] = given{f.Value.String(), fromFlag, "--" + f.Name}
	})
	more, err := ignored(values)
	return values, append(warnings, more...), err
}

// environment returns what ETCD_* and BALSA_* variables set; BALSA_* wins. Of the variables that name no setting it
// returns those of BALSA_*, which nobody else uses. (Kubernetes alone sets dozens that begin with ETCD_.)
func environment(environ []string, known func(string) bool) (env map[string]given, unknown []string) {
	env = map[string]given{}
	for _, prefix := range []string{"ETCD_", "BALSA_"} {
		for _, pair := range environ {
			variable, value, _ := strings.Cut(pair, "=")
			if !strings.HasPrefix(variable, prefix) || value == "" {
				continue
			}
			name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, prefix), "_", "-"))
			_, isIgnored := etcdFlags[name]
			_, isRefused := refusedFlags[name]
			switch {
			case known(name) || isIgnored || isRefused:
				env[name] = given{value, fromEnvironment, variable}
			case prefix == "BALSA_" && !slices.Contains(clientSettings, name):
				unknown = append(unknown, variable)
			}
		}
	}
	slices.Sort(unknown)
	return env, unknown
}

// ignored returns a warning for each of etcd's settings that has no meaning here, and an error for the first that must
// not be ignored.
func ignored(values map[string]given) (warnings []string, err error) {
	for name, g := range values {
		if instead, ok := refusedFlags[name]; ok && g.value != "" && g.value != "false" {
			return nil, inputError("%s is not supported: %s", g.where, instead)
		}
		if _, ok := etcdFlags[name]; ok && g.value != "" {
			warnings = append(warnings, fmt.Sprintf("%s has no meaning in Balsa: ignored", g.where))
		}
	}
	slices.Sort(warnings)
	return warnings, nil
}

// milliseconds parses a time as etcd's flags have it, a number of milliseconds, or with a unit.
func milliseconds(value string) (time.Duration, error) {
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Millisecond, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("is no time: write milliseconds, or a number with a unit as in 100ms or 2s")
	}
	return d, nil
}

// duration parses a time with a unit or, as in etcd's files, a number of nanoseconds.
func duration(value string) (time.Duration, error) {
	if n, err := strconv.ParseUint(value, 10, 63); err == nil {
		return time.Duration(n), nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("is no time: write a number with a unit, as in 5s or 2h")
	}
	return d, nil
}

func count(value string, most uint64) (uint64, error) {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n > most {
		return 0, fmt.Errorf("is no number between 0 and %d", most)
	}
	return n, nil
}
