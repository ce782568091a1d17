#!/usr/bin/env bash
# Builds the real etcd and etcdctl that Balsa is compared with, and prints the folder they are in.
#
# usage: build.sh [NAME...]    etcd-3.7 etcdctl-3.7 etcd-3.6 etcdctl-3.6; all by default
#
# The folder is balsa-conformance in the user's cache folder, or $BALSA_CONFORMANCE_CACHE. What is there already is not
# built again. The sources come from the Go module proxy; tools/*.mod and *.sum fix every version. "go install" refuses
# etcd's modules, because they replace each other by paths; as tools of another module they build.
set -eu -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${BALSA_CONFORMANCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/balsa-conformance}
mkdir -p "$folder"
cd "$here"

[ $# -gt 0 ] || set -- etcd-3.7 etcdctl-3.7 etcd-3.6 etcdctl-3.6
for name; do
	modfile=tools/etcd-${name#*-}.mod
	case $name in
	etcd-*) package=go.etcd.io/etcd/server/v3 ;;
	etcdctl-*) package=go.etcd.io/etcd/etcdctl/v3 ;;
	*) modfile= ;;
	esac
	[ -f "$modfile" ] || { echo "build.sh: $name is none of the programs that it builds" >&2; exit 2; }
	version=$(awk -v package="$package" '$1 == package && NF > 1 { print $2; exit }' "$modfile")
	target=$folder/$name-$version
	if [ ! -x "$target" ]; then
		echo "building $name, $version" >&2
		go build -modfile="$modfile" -ldflags="-s -w" -o "$target.$$" "$package"
		mv "$target.$$" "$target" # at once: an interrupted build leaves no half program behind
	fi
	ln -sfn "${target##*/}" "$folder/$name"
done
echo "$folder"
