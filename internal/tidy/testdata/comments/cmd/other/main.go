// Package main runs.
package main // want "must begin with "Command other"
