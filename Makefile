# `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= v0.1.0
REGISTRY ?= ghcr.io/connpolicy

# Where the API tests find kube-apiserver, etcd and kubectl: those that the lab builds.
export KUBEBUILDER_ASSETS ?= $(CURDIR)/bin/lab/bin

LAB := bin/lab/lab
# golangci-lint with the rules for Kubernetes APIs built in.
LINTER := golangci-lint-kube-api-linter
TOOL := go tool -modfile=hack/tools/go.mod
GO_FOLDERS := api cmd config controllers internal probes hack test
API_TESTS := ./controllers/... ./test/cel/... ./test/plugin/...

##@ Everyday

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: lab-build images ## Show the main job on a real cluster on this machine, as root; KEEP=1 leaves the lab running
	go run ./hack/demo

.PHONY: plugin
plugin: ## Build kubectl's plugin, kubectl-connpolicy, and its completion into bin; put them into your PATH
	go build -trimpath -ldflags '-s -w' -o bin/kubectl-connpolicy ./cmd/kubectl-connpolicy
	ln -sf kubectl-connpolicy bin/kubectl_complete-connpolicy

.PHONY: fmt
fmt: ## Format the Go code
	gofmt -w $(GO_FOLDERS)

.PHONY: vet
vet: ## Run go vet over all code, that behind build tags too
	go vet -tags e2e ./...
	go -C hack/lab vet -tags integration ./...
	go -C test/prometheus vet ./...

.PHONY: lint
lint: ## Run the linters; the first time builds them, which takes minutes
	go tool -modfile=hack/tools/lint/go.mod $(LINTER) run
	go -C hack/lab tool -modfile=../tools/lint/go.mod $(LINTER) run --config ../../.golangci.yml
	go -C test/prometheus tool -modfile=../../hack/tools/lint/go.mod $(LINTER) run --config ../../.golangci.yml

.PHONY: clean
clean: ## Remove what was built; stop the lab first
	rm -rf bin

##@ Tests

.PHONY: test
test: test-unit test-servers test-prometheus test-lab test-api test-e2e ## Run every test, as root; .ci/run does the same

.PHONY: test-unit
test-unit: lab-build test-packages ## Test all that needs no cluster; as root also in network namespaces of its own
	go test -race -p 4 ./probes/...
	go test $$(go list ./... | grep -v -e /probes/ -e /controllers -e /test/)

.PHONY: test-packages
test-packages: $(LAB) ## Install the servers that the probe is tested against and a browser, as root; none is started
	$(LAB) packages nginx apache2-bin haproxy nodejs dnsmasq-base chromium

.PHONY: test-servers
test-servers: test-packages ## Test the probe against nginx, Apache httpd, HAProxy, Node.js and Go, as root
	go test -race -count=1 ./test/servers/...

# Go keeps a test's result although files outside of its module have changed, and those are what it is about.
.PHONY: test-prometheus
test-prometheus: ## Test alerts and dashboard with Prometheus's own code
	go -C test/prometheus test -count=1 ./...

.PHONY: test-lab
test-lab: lab-build ## Test the lab itself: start, break and stop it, as root; no lab may run
	go -C hack/lab test -tags integration -timeout 30m ./...

.PHONY: test-api
test-api: lab-build ## Test the kinds, admission, controllers and kubectl's plugin on a real kube-apiserver; as root also the plugin beside an observer
	go test $(API_TESTS)

.PHONY: test-e2e
test-e2e: lab-build images ## Test the whole in the lab, as root
	go test -tags e2e -count=1 -timeout 30m -v ./test/e2e/...

.PHONY: bench
bench: ## Compare the probe with plain C, wrk and ss on this machine, as root; FLAGS="--seconds 60 --only connect" sets flags
	go run ./hack/bench $(FLAGS)

##@ What is generated: `make generate build-installer api-docs` brings all of it up to date

.PHONY: generate
generate: ## Generate Go code
	$(TOOL) controller-gen object paths=./api/...

.PHONY: manifests
manifests: ## Generate the CustomResourceDefinitions
	$(TOOL) controller-gen crd paths=./api/... output:crd:dir=config/crd/bases

.PHONY: build-installer
build-installer: manifests ## Generate the manifests that users apply
	mkdir -p dist
	$(TOOL) kustomize build config/default > dist/install.yaml
	$(TOOL) kustomize build config/apply > dist/install-apply.yaml
	$(TOOL) kustomize build config/prometheus > dist/prometheus.yaml

.PHONY: api-docs
api-docs: manifests ## Generate the reference of every field, of every rule and of the probe's result
	go run ./hack/apidocs
	go run ./hack/ruledocs
	go run ./hack/resultschema

.PHONY: tidy
tidy: ## Tidy go.mod
	go mod tidy

.PHONY: verify
verify: ## Fail if anything that is generated or formatted is not up to date
	hack/verify.sh generate build-installer api-docs fmt tidy

##@ The lab: a Kubernetes cluster of two nodes on this machine

# The Go build cache knows better than make whether the program is up to date.
.PHONY: $(LAB)
$(LAB):
	go -C hack/lab build -o $(CURDIR)/$(LAB) .

.PHONY: lab-build
lab-build: $(LAB) ## Build Kubernetes and what it needs; the first time takes minutes
	$(LAB) build

.PHONY: lab-up
lab-up: lab-build ## Start the lab, as root
	$(LAB) up

.PHONY: lab-status
lab-status: $(LAB) ## Show what of the lab runs
	$(LAB) status

.PHONY: lab-down
lab-down: $(LAB) ## Stop the lab and remove all that it made
	$(LAB) down

.PHONY: images
images: image-manager image-probe ## Write the operator's two images to bin/images, without a container engine

image-%: $(LAB)
	mkdir -p bin/images
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/images/$* ./cmd/$*
	$(LAB) image --binary bin/images/$* --name $(REGISTRY)/$*:$(VERSION) --entrypoint /$* --user 65532 \
	  --output bin/images/$*.tar
