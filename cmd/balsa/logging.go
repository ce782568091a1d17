package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// logLevels are etcd's names. Balsa has no level above error.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	"panic": slog.LevelError, "fatal": slog.LevelError,
}

// newLogger writes lines of JSON under etcd's keys, or lines for people.
func newLogger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: etcdKeys}
	if format == "console" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// etcdKeys names time and level as etcd does, because programs that read its log look for them.
func etcdKeys(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		return slog.String("ts", a.Value.Time().Format("2006-01-02T15:04:05.000000Z0700"))
	case slog.LevelKey:
		return slog.String("level", strings.ToLower(a.Value.String()))
	}
	return a
}

// openLogs opens etcd's log outputs: default, stderr, stdout, or a file to append to.
func (a *app) openLogs(outputs []string) (io.Writer, error) {
	var ws []io.Writer
	for _, name := range outputs {
		switch name {
		case "default", "stderr", "":
			ws = append(ws, a.stderr)
		case "stdout":
			ws = append(ws, a.stdout)
		default:
			f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return nil, inputError("--log-outputs: %w", err)
			}
			ws = append(ws, f)
		}
	}
	if len(ws) == 1 {
		return ws[0], nil
	}
	return io.MultiWriter(ws...), nil
}

// isTerminal reports whether w is a terminal, where a person reads.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a device of characters, too, and nobody reads there
	return err != nil || !os.SameFile(info, null)
}

func parseLogLevel(name string) (slog.Level, error) {
	level, ok := logLevels[name]
	if !ok {
		return 0, fmt.Errorf("is no log level: choose debug, info, warn or error")
	}
	return level, nil
}
