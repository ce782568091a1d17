module github.com/balsa-raft/balsa

go 1.26.0
