# The targets a user needs: demo, test, check, bench. `make help` says what each does.
SHELL := /bin/bash
BUILD := $(CURDIR)/build
BIN   := $(BUILD)/bin
GO    ?= go
export CGO_ENABLED ?= 0
export GOFLAGS ?= -trimpath

.PHONY: help build deps deps-lxd deps-vm demo demo-lxd test test-vm check bench bench-scale clean docs proto

help: ## say what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 20

build: ## build the programs into build/bin
	@mkdir -p $(BIN)
	$(GO) build -ldflags='-s -w' -o $(BIN)/ ./cmd/...
	@ln -sf grigri $(BIN)/juju

deps: ## install the Debian packages that running and testing need, where they are missing
	@internal/demo/deps

deps-lxd: ## install what the tests with containers need besides, where it is missing
	@internal/demo/deps lxd

deps-vm: ## install what the tests with virtual machines need besides, where it is missing
	@internal/demo/deps vm

demo: deps build ## show an environment come up, scale and go away
	internal/demo/demo $(BIN)

demo-lxd: deps deps-lxd build ## show a wiki on containers come up, scale, lose a machine and go away
	$(GO) run ./internal/lxdtest/lxdenv internal/demo/lxd $(BIN)

test: deps $(if $(CI),deps-lxd) build ## run every test; with the race detector where CI is set
	CGO_ENABLED=$(if $(CI),1,0) $(GO) test $(if $(CI),-race) -timeout 40m ./...

test-vm: deps deps-vm build ## run the tests with virtual machines, whose processor is emulated: minutes
	$(GO) test -tags vm -count=1 -v -timeout 60m -p 1 -run VirtualMachineBoots ./provider/lxd ./internal/e2e

check: ## formatting, vet, and that generated files are up to date
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run gofmt -w on these'; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags vm ./provider/lxd ./internal/e2e
	$(GO) mod tidy -diff
	$(GO) test -count=1 -run "Arch|Imports|Source|Reference|Documented" ./internal/arch/ ./cmd/grigri/ ./hooks/serve/

bench: deps build ## print speed and memory as ratios
	$(GO) run ./internal/bench

bench-scale: deps ## print what 10000 units cost: minutes, and some GB of memory
	nice $(GO) run ./internal/bench/scale -units 10000

docs: ## write the generated reference pages
	$(GO) test ./cmd/grigri ./hooks/serve -run TestReference -update

proto: ## generate the code of the plugins' protocol
	provider/plugin/wire/generate

clean: ## remove what was built
	rm -rf $(BUILD)
