# `make help` lists the targets. Whatever they need beyond Go, make and git is
# installed or built here, pinned, or named in one line.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BUILD   := $(CURDIR)/.build
TOOLS   := $(BUILD)/tools
MODULES := proto clients/go services/draw services/internal services/participation services/gateway services/rafflecast services/test
export PATH := $(TOOLS):$(PATH)

BUF                    := github.com/bufbuild/buf/cmd/buf@v1.75.0
PROTOC_GEN_GO          := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
PROTOC_GEN_GO_GRPC     := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
PROTOC_GEN_GRPC_GATEWAY := github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway@v2.32.0
PROTOC_GEN_OPENAPIV2   := github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2@v2.32.0
GOLANGCI_LINT          := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
KO                     := github.com/google/ko@v0.19.1
COSIGN                 := github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
CYCLONEDX              := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0
# The module that holds buf's rules file, buf/validate/validate.proto.
PROTOVALIDATE          := github.com/bufbuild/protovalidate@v1.2.2

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(BUILD)/rafflecast ## start everything in one process; settings in ARGS="--gateway-address=127.0.0.1:8080"
	@exec $(BUILD)/rafflecast run $(ARGS)

build: $(BUILD)/rafflecast $(BUILD)/participation $(BUILD)/gateway ## build the binaries into .build

$(BUILD)/rafflecast: FORCE
	@go build -o $@ ./services/rafflecast/cmd/rafflecast

$(BUILD)/with-postgres $(BUILD)/bench-entries $(BUILD)/bench-gateway $(BUILD)/bench-system: FORCE
	@go build -o $@ ./services/test/cmd/$(@F)

$(BUILD)/participation $(BUILD)/gateway: FORCE
	@go build -o $@ ./services/$(@F)/cmd/$(@F)

# Tests run against a PostgreSQL of their own, unless TEST_DATABASE_URL names one.
with-postgres = DATABASE_URL="$${TEST_DATABASE_URL:-}" $(BUILD)/with-postgres run --log-level=warn --

test: $(BUILD)/with-postgres compiler chromium pgbouncer proxies callers bc faketime manifests ## run all tests with the race detector, on a real PostgreSQL, NATS and Chromium
	@$(with-postgres) go test -race -timeout=20m ./services/test/faults work
	@$(with-postgres) go test -timeout=5m -run=TestShown_ ./services/participation/ # which is slow with the race detector

# A module of its own beside the workspace: its dependencies are large.
manifests: promtool ## check what is in deploy: manifests, compose file, alerts and dashboard, by themselves and against the programs
	@cd deploy && GOWORK=off go test -count=1 ./...

dashboard: ## make the dashboards in deploy/grafana from their source, deploy/internal/dashboard
	@cd deploy && for d in rafflecast raffles; do GOWORK=off go run ./internal/dashboard -name=$$d >grafana/$$d.json; done

chart: ## make the templates of the Helm chart from the manifests for kustomize
	@cd deploy && GOWORK=off go run ./internal/chart kubernetes helm/rafflecast/templates

noble: ## bundle SHA-256 and BLS of npm's @noble for the page's check of a draw
	@cd services/gateway/web/draw && ./noble.sh $(BUILD)/npm/noble >$(BUILD)/noble.js && cp $(BUILD)/noble.js noble.js

pictures: chromium ## take the pictures of the page again, in every state
	@SCREENSHOTS=$(PICTURES) go test -count=1 ./services/test/page

picture: chromium webp ## take the README's moving picture again, of make run ARGS=--demo; about 4 minutes
	@rm -rf $(BUILD)/frames && mkdir -p $(BUILD)/frames && FRAMES=$(BUILD)/frames go test -count=1 -run TestDemo_Picture ./services/test/e2e
	@img2webp -loop 0 -lossy -q 60 -d 400 $(BUILD)/frames/*.png -o services/gateway/web/pictures/demo.webp

PICTURES := $(CURDIR)/services/gateway/web/pictures

alone: $(BUILD)/with-postgres pgbouncer proxies bc ## build and test each service by itself, as GOWORK=off sees it
	@for m in clients/go services/draw services/internal services/participation services/gateway; do \
	  echo "$$m alone:"; (cd $$m && export GOWORK=off && go build ./... && $(with-postgres) go test ./...); done

bench-entries: $(BUILD)/bench-entries ## measure entries beside COPY, a transaction each, and a no-op; about 7 minutes
	@$(BUILD)/bench-entries run $(ARGS)

bench-gateway: $(BUILD)/bench-gateway ## measure the fan-out beside a bare epoll server and a net/http hub
	@$(BUILD)/bench-gateway $(ARGS)

bench-system: $(BUILD)/bench-system $(BUILD)/participation $(BUILD)/gateway ## measure how old odds are at 10,000 viewers while 1,000 entries/s come, everything running
	@$(BUILD)/bench-system $(ARGS)

faults: faketime ## break a whole system on seeded schedules and judge it; ARGS="-seeds=20 -faults=50", about an hour
	@go run ./services/test/cmd/faults $(ARGS)

abuse: $(BUILD)/with-postgres ## let 1,000 hostile clients of each kind attack, and measure honest callers; ABUSE_SECONDS=10
	@ABUSE_SECONDS=$${ABUSE_SECONDS:-10} $(with-postgres) go test -count=1 -v -timeout=20m -run TestAbuse_ ./services/test/e2e

fuzz: ## try random inputs on every parser, a minute each: for the night; ARGS="--time=10s --only=httpapi"
	@go run ./services/test/cmd/fuzz run $(ARGS)

images: $(TOOLS)/ko ## build the images into dist/, and check them; settings in deploy/images/build.sh, VERSION=1.2.3 for one
	@deploy/images/build.sh >$(BUILD)/ko.log 2>&1 || { cat $(BUILD)/ko.log; exit 1; }
	@IMAGES=$(CURDIR)/dist VERSION=$${VERSION:-dev} go test -count=1 -tags=images -run=TestImages_ ./services/test/e2e && ls -l dist

release: $(TOOLS)/ko $(TOOLS)/cyclonedx-gomod $(if $(COSIGN_KEY),$(TOOLS)/cosign) proto-rules ## make a release in dist/: programs, images, contract, SBOMs, checksums; VERSION=1.2.3; IMAGES=false; COSIGN_KEY
	@deploy/release/release.sh
	@deploy/release/sign.sh

signatures: $(TOOLS)/cosign ## test how a release is signed, at a registry on this machine; builds cosign once, in minutes
	@cd deploy && GOWORK=off go test -count=1 -tags=signing -run=TestSign_ ./release

check: $(TOOLS)/buf $(TOOLS)/golangci-lint proto-rules ## lint everything; generated code and go.mod files must be up to date
	@buf lint && buf format --diff --exit-code proto
	@$(MAKE) --no-print-directory GEN=$(BUILD)/gen generate && for d in proto/gen services/participation/internal/httpapi/gen $(OPENAPI); do \
	  diff -r $$d $(BUILD)/gen/$$d || { echo "$$d differs from what make generate makes"; exit 1; }; done
	@go vet work
	@d=$$(go fix -diff work) && [ -z "$$d" ] || { echo "$$d"; echo "go fix work would change this"; exit 1; }
	@golangci-lint run $(addsuffix /...,$(addprefix ./,$(MODULES)))
	@d=; cd deploy && export GOWORK=off && golangci-lint run ./... && d=$$(go fix -diff ./...) && [ -z "$$d" ] || \
	  { echo "$$d"; echo "deploy: go fix would change this, or the linter has said what is wrong"; exit 1; }
	@for m in $(MODULES) deploy; do (cd $$m && export GOWORK=off && go mod tidy -diff && go vet ./...) || \
	  { echo "$$m does not stand alone"; exit 1; }; done
	@go work sync && git diff --exit-code -- go.work '*/go.mod' || \
	  { echo "go work sync changes the modules' dependencies: commit what it makes"; exit 1; }
	@echo "check: all is well"

GEN := .
OPENAPI := services/participation/internal/httpapi/openapi.json
generate: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc $(TOOLS)/protoc-gen-grpc-gateway $(TOOLS)/protoc-gen-openapiv2 proto-rules ## generate Go code and the OpenAPI document from the contract, and the script of the page
	@buf generate --template proto/buf.gen.yaml -o $(GEN)
	@go run ./services/test/cmd/contract openapi $(GEN)/.build/swagger/raffle.swagger.json $(GEN)/$(OPENAPI)
	@go run ./services/test/cmd/bundle

format: $(TOOLS)/buf $(TOOLS)/golangci-lint ## format Go and the contract
	@buf format -w proto && golangci-lint fmt $(addprefix ./,$(MODULES))

clean: ## remove what was built; make run's data in .data stay
	@rm -rf $(BUILD)

CONTRACT := $(BUILD)/contract
contract: proto-rules ## write the contract for callers in other languages into .build/contract, or CONTRACT=dir
	@go run ./services/test/cmd/contract folder $(CONTRACT) $(BUILD)/protovalidate

# buf reads what the contract imports from here; its only other source is a registry.
proto-rules:
	@rm -rf $(BUILD)/googleapis && go run ./services/test/cmd/contract imports $(BUILD)/googleapis
	@dir=$$(go mod download -json $(PROTOVALIDATE) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p'); \
	 install -D -m 644 "$$dir/proto/protovalidate/buf/validate/validate.proto" $(BUILD)/protovalidate/buf/validate/validate.proto

tool = @echo "building $(@F) (once)"; mkdir -p $(TOOLS); GOBIN=$(TOOLS) GOWORK=off go install $(1)
$(TOOLS)/buf: ; $(call tool,$(BUF))
$(TOOLS)/protoc-gen-go: ; $(call tool,$(PROTOC_GEN_GO))
$(TOOLS)/protoc-gen-go-grpc: ; $(call tool,$(PROTOC_GEN_GO_GRPC))
$(TOOLS)/protoc-gen-grpc-gateway: ; $(call tool,$(PROTOC_GEN_GRPC_GATEWAY))
$(TOOLS)/protoc-gen-openapiv2: ; $(call tool,$(PROTOC_GEN_OPENAPIV2))
$(TOOLS)/ko: ; $(call tool,$(KO))
$(TOOLS)/cosign: ; $(call tool,$(COSIGN))
$(TOOLS)/cyclonedx-gomod: ; $(call tool,$(CYCLONEDX))
$(TOOLS)/golangci-lint: ; $(call tool,$(GOLANGCI_LINT))

# What tests need from the machine: Debian's packages where they can be
# installed, else a line that says what to do. Go's race detector needs a C
# compiler; Chromium, and fonts for Korean, are for the end-to-end tests. No
# package's service is started: policy-rc.d says so while it is installed.
define need
	@[ -e $(1) ] || command -v $(1) >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "installing $(2)"; \
	    policy=/usr/sbin/policy-rc.d; \
	    [ -e $$policy ] || { printf '#!/bin/sh\nexit 101\n' >$$policy; chmod +x $$policy; trap "rm -f $$policy" EXIT; }; \
	    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(2); } >$(BUILD)/apt.log 2>&1 || \
	    { tail -n 5 $(BUILD)/apt.log; exit 1; }; \
	  else echo "$(3)"; $(4); fi; }
endef
chromium:
	$(call need,chromium,chromium fonts-noto-core fonts-noto-cjk,install Chromium for the end-to-end tests; they are skipped without it,[ -z "$${CI:-}" ])
proxies:
	$(call need,nginx,nginx-light,install nginx for its test; it is skipped without it,[ -z "$${CI:-}" ])
	$(call need,haproxy,haproxy,install HAProxy for its test; it is skipped without it,[ -z "$${CI:-}" ])
	$(call need,npm,nodejs npm,install Node.js and npm for the test of its clients; it is skipped without them,[ -z "$${CI:-}" ])
callers:
	$(call need,protoc,protobuf-compiler,install protoc for the test of the contract; it is skipped without it,[ -z "$${CI:-}" ])
	$(call need,grpc_java_plugin,protobuf-compiler-grpc-java-plugin libprotobuf-java libgrpc-java libnetty-java libperfmark-java libguava-java libjsr305-java libgeronimo-annotation-1.3-spec-java,install the plugin and libraries of gRPC for Java for the test of the contract; it is skipped without them,[ -z "$${CI:-}" ])
	$(call need,javac,default-jdk-headless,install a Java compiler for the test of the contract; it is skipped without it,[ -z "$${CI:-}" ])
	$(call need,/usr/share/java/spring3-web.servlet.jar,libspring-context-java libspring-web-java libspring-web-servlet-java,install the libraries of Spring for the test of examples/spring; it is skipped without them,[ -z "$${CI:-}" ])
bc:
	$(call need,bc,bc,install bc for the test of services/draw/README.md; it is skipped without it,[ -z "$${CI:-}" ])
pgbouncer:
	$(call need,pgbouncer,pgbouncer,install PgBouncer for its test; it is skipped without it,[ -z "$${CI:-}" ])
faketime:
	$(call need,faketime,faketime,install libfaketime for faults of PostgreSQL's clock; there are none without it,[ -z "$${CI:-}" ])
webp:
	$(call need,img2webp,webp,install img2webp for the moving picture,false)
promtool:
	$(call need,promtool,prometheus,install Prometheus for the test of the alerts by promtool; it is skipped without it,[ -z "$${CI:-}" ])
compiler:
	$(call need,cc,gcc libc6-dev,install a C compiler: Go's race detector needs one,false)

FORCE:
.PHONY: help run build test manifests dashboard chart noble alone picture pictures bench-entries bench-gateway bench-system faults fuzz abuse images release signatures check generate contract format clean proto-rules chromium compiler pgbouncer proxies callers bc faketime webp promtool FORCE
