# P is a package, T a time: make fuzz P=./wire T=1m
P ?= ./...
T ?= 20s

# N is how many seeds: make sim N=10000; one again: go test ./sim -run Seeds -seed=S -v
N ?= 1000

.PHONY: check test race sim fuzz update bench dev

check: # everything that must hold before a change is merged
	bash .ci/run

test:
	go test $(P)

race:
	go test -race $(P)

sim: # whole clusters under faults, N seeds
	go test ./sim -run Seeds -seeds=$(N) -timeout=60m

fuzz: # every fuzz target of P for T
	@for p in $$(go list $(P)); do for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz); do \
		echo $$p $$f; go test $$p -run '^$$' -fuzz "^$$f\$$" -fuzztime $(T) || exit 1; done; done

update: # rewrite the outputs of P's transcripts: make update P=./raft, then read the difference
	go test $(P) -update

bench:
	go test $(P) -run '^$$' -bench . -benchmem

dev: # a cluster of three on this machine
	go run ./cmd/balsa dev
