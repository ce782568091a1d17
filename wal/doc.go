// Package wal keeps the logs of many groups in one durable sequence of segment files.
package wal
