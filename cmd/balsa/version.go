package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/balsa-raft/balsa/server"
	"github.com/spf13/cobra"
)

// version is Balsa's own; a release is built with -ldflags "-X main.version=...".
var version = "0.1.0-dev"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version",
		Args: argCount(0, 0, "version"),
		Run:  func(*cobra.Command, []string) { a.printVersion() },
	}
}

// printVersion begins with the line that etcd's tools look for.
func (a *app) printVersion() {
	fmt.Fprintf(a.stdout, "etcd Version: %s\n", server.EtcdVersion)
	fmt.Fprintf(a.stdout, "Balsa Version: %s\n", version)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				fmt.Fprintf(a.stdout, "Git SHA: %s\n", s.Value)
			}
		}
	}
	fmt.Fprintf(a.stdout, "Go Version: %s\nGo OS/Arch: %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
