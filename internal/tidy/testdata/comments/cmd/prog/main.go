// Command prog runs.
package main
