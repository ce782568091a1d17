package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes. The first are etcdctl's.
const (
	exitOK      = 0
	exitError   = 1 // the cluster refused, or something failed
	exitConnect = 2 // no server could be reached
	exitInput   = 3 // a flag, an argument or the input is wrong

	// Of a server, which ends in the same way until somebody does something.
	exitRemoved  = 20 // it was removed from the cluster
	exitReplaced = 21 // its data folder was lost
)

// exitCodeError is an error that says how the program ends.
type exitCodeError struct {
	code int
	err  error
}

func (e *exitCodeError) Error() string { return e.err.Error() }
func (e *exitCodeError) Unwrap() error { return e.err }

// inputError is the error of a flag, an argument or input that is wrong.
func inputError(format string, args ...any) error {
	return &exitCodeError{exitInput, fmt.Errorf(format, args...)}
}

// app is the program, with what it touches of the world outside.
type app struct {
	// call is how to call this program in the lines that it tells people to copy.
	call           string
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	environ        func() []string
	isTerminal     func(io.Writer) bool
}

func newApp() *app {
	return &app{
		call:  callName(os.Args[0]),
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, environ: os.Environ, isTerminal: isTerminal,
	}
}

// callName keeps the path by which the program was called, so that a line with it works where it is copied.
func callName(arg0 string) string {
	switch {
	case !strings.Contains(arg0, "/"):
		return "balsa"
	case strings.Contains(arg0, "/go-build"): // of go run: the program goes when it ends
		return "go run ./cmd/balsa"
	}
	if strings.ContainsAny(arg0, " '\"$`\\()&;*?") {
		return "'" + strings.ReplaceAll(arg0, "'", `'\''`) + "'"
	}
	return arg0
}

// run runs one command and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.command()
	if len(args) > 0 && args[0] == "server" {
		args = twoDashes(args)
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(a.stderr, "Error: %v\n", explain(err))
	var withCode *exitCodeError
	if errors.As(err, &withCode) {
		return withCode.code
	}
	return exitError
}

// twoDashes makes --name of -name, which etcd takes for the same.
func twoDashes(args []string) []string {
	out := slices.Clone(args)
	for i, arg := range out {
		if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
			out[i] = "-" + arg
		}
	}
	return out
}

func (a *app) command() *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "balsa",
		Short: "A replicated key-value store that speaks the etcd v3 API",
		Long: `Balsa is a replicated key-value store that speaks the etcd v3 API.

  balsa dev            a cluster of three on this machine, to try it
  balsa server         one member of a cluster, with etcd's own flags
  balsa put, get, ...  write and read
  balsa status         how the cluster is
  balsa members        who is in it; add, remove, replace and others change that
  balsa bench          how fast it is
  balsa sim            clusters under faults, simulated, to see that all holds`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				a.printVersion()
				return nil
			}
			return cmd.Help()
		},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.Flags().BoolVar(&version, "version", false, "print the version and exit")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(a.devCommand(), a.serverCommand(), a.versionCommand(),
		a.putCommand(), a.getCommand(), a.delCommand(), a.txnCommand(), a.statusCommand(), a.membersCommand(), a.moveLeaderCommand(),
		a.benchCommand(), a.simCommand())
	return root
}

// noSuchCommand is what is left when an argument names no command.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return inputError("there is no command %q%s; balsa --help lists them", args[0], didYouMean(args[0], names, ""))
}

// argCount bounds a command's arguments; usage says what they are.
func argCount(least, most int, usage string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return inputError("usage: balsa %s", usage)
		}
		return nil
	}
}
