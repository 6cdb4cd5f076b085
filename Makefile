# make builds, runs, tests. Everything needs Go alone, apart from the race
# detector of `make test` (a C compiler), its browser (Chromium, npm), `make run`
# (bash, curl) and `make clients` (Node.js, Python, Java, Maven, curl), which
# `make test` runs too.
# `make help` lists the targets.

GO        ?= go
GO_NEEDED := 1.26

# The same binary as a release: no paths of this machine, no debug symbols,
# and without the storage drivers of Caddy's own CA, a third of its size.
TAGS    := nobadger,nomysql,nopgx
LDFLAGS := -s -w

# Each fuzz target whose name matches FUZZ runs this long, in so many processes at a
# time; each sort of the flood runs FLOODTIME. TESTFLAGS adds to `go test`: make test
# TESTFLAGS='-run TestX -v'. Tests of servers and browsers wait more than they
# compute, so one more package at a time is tested than there are cores, and in
# one package three servers for each core.
FUZZTIME  ?= 30s
FUZZ      ?= .
WORKERS   ?= $(shell getconf _NPROCESSORS_ONLN)
FLOODTIME ?= 60s
TESTFLAGS ?=
AT_A_TIME := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
SERVERS   := $(shell expr $$(getconf _NPROCESSORS_ONLN) '*' 3)

# The race detector is asked about each access to memory. SQLite is C translated to
# Go, and its memory is not Go's: nothing of it is watched. argon2 fills 19 MiB that
# nobody else has. Leaving these out halves the work of all tests; SQLite's driver
# and everything else is watched.
UNWATCHED := modernc.org/sqlite/lib modernc.org/libc/... modernc.org/memory golang.org/x/crypto/argon2
RACE      := -race $(UNWATCHED:%=-gcflags=%=-race=false)

# cmd/caddy/default.pgo is for the binary. Because its test is one of a main
# package, Go would build all of Caddy a second time for it.
NO_PROFILE := -pgo=off

# The linter is built beside the binaries with its version in its name. It is
# never in go.mod: its dependencies would raise those of Caddy.
GOLANGCI_VERSION := v2.15.0
GOLANGCI := bin/golangci-lint-$(GOLANGCI_VERSION)

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

.PHONY: help build run test proof crash flood clients axe pictures lint fuzz bench bench-go pgo clean check-go check-cc check-chromium check-clients

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | \
		awk -F ':.*## ' '{ printf "  %-8s %s\n", $$1, $$2 }'

# Go decides what is to be rebuilt, and knows better than file times.
build: check-go ## Build bin/caddy and the demo API bin/exchange (the default)
	@echo "building bin/caddy and bin/exchange (the first time takes minutes)"
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -tags $(TAGS) -o bin/caddy ./cmd/caddy
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/exchange ./examples/exchange

run: build ## Run the quickstart; API_PORT, ISSUER_PORT, DEMO_PORT, STATE_DIR choose where
	@exec examples/quickstart/run.sh

test: check-go check-cc check-chromium check-clients axe ## Run all tests with the race detector, then the proofs and the clients
	@CGO_ENABLED=1 $(GO) test $(RACE) $(NO_PROFILE) -p $(AT_A_TIME) -parallel $(SERVERS) -tags $(TAGS) -timeout 20m $(TESTFLAGS) ./...
	@$(MAKE) --no-print-directory proof
	@$(MAKE) --no-print-directory clients

# The proofs run the real binary; the race detector would watch only the tests.
# They are never the same twice, hence not from Go's cache.
proof: check-go ## Prove it with the real binary: 100 kills, 20,000 revocations
	@CGO_ENABLED=0 $(GO) test -tags $(TAGS),proof -count 1 -timeout 20m $(TESTFLAGS) ./proof

crash: check-go ## The crash proof alone, with 1,000 kills
	@BEARER_KILLS=1000 CGO_ENABLED=0 $(GO) test -tags $(TAGS),proof -count 1 -timeout 2h -run Kill9 -v $(TESTFLAGS) ./proof

flood: check-go ## A good client beside FLOODTIME (60s) of made-up tokens, of five kinds: its p99 counts
	@BEARER_FLOOD=$(FLOODTIME) CGO_ENABLED=0 $(GO) test -tags $(TAGS),proof -count 1 -timeout 2h -run GoodClientUnderAFlood -v $(TESTFLAGS) ./proof

# What a manifest names is installed beside it, where git does not look. The
# stamp is younger than the manifest when that is done.
CLIENT_LIBRARIES := clients/javascript/node_modules/.stamp clients/python/.venv/.stamp clients/java/lib/.stamp

clients: check-go check-clients $(CLIENT_LIBRARIES) ## Run other people's OAuth libraries against the real binary
	@CGO_ENABLED=0 $(GO) test -tags $(TAGS),clients -count 1 -parallel 8 -timeout 20m $(TESTFLAGS) ./clients

axe: examples/browser/node_modules/.stamp ## Install axe-core, by which the pages are tested for accessibility

examples/browser/node_modules/.stamp: examples/browser/package-lock.json
	@command -v npm >/dev/null || { echo "error: axe-core is installed with npm, which was not found" >&2; exit 1; }
	@echo "installing axe-core"
	@cd examples/browser && npm ci --silent
	@touch $@

clients/javascript/node_modules/.stamp: clients/javascript/package-lock.json
	@echo "installing the libraries for JavaScript"
	@cd clients/javascript && npm ci --silent
	@touch $@

clients/python/.venv/.stamp: clients/python/requirements.txt
	@echo "installing the libraries for Python"
	@python3 -m venv --clear clients/python/.venv
	@clients/python/.venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

clients/java/lib/.stamp: clients/java/pom.xml
	@echo "installing the libraries for Java"
	@rm -rf clients/java/lib
	@mvn --quiet --batch-mode -f $< dependency:copy-dependencies
	@touch $@

lint: $(GOLANGCI) ## Run the linters; the first time builds them
	@GOFLAGS='$(GOFLAGS) $(NO_PROFILE)' $(GOLANGCI) run ./...

# `go install` knows one name only, so into a folder of its own, then moved.
$(GOLANGCI): | check-go
	@echo "building golangci-lint $(GOLANGCI_VERSION) (takes minutes, once)"
	@mkdir -p bin/tmp
	@GOBIN='$(CURDIR)/bin/tmp' $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv bin/tmp/golangci-lint $@ && rmdir bin/tmp

pictures: check-go check-chromium axe ## Take pictures of all pages (bin/pictures/index.html), and those of docs/portal.md anew
	@BEARER_SCREENSHOTS='$(CURDIR)/bin/pictures' $(GO) test -tags $(TAGS) -count 1 $(TESTFLAGS) ./examples/browser -update-pictures

# list_tests NAME prints "package-folder function" for each function of the
# module's tests whose name begins so. `go list` leaves other modules out.
list_tests = files=$$($(GO) list -tags $(TAGS) \
	-f '{{$$d := .Dir}}{{range .TestGoFiles}}{{$$d}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$$d}}/{{.}}{{"\n"}}{{end}}' ./...) || exit 1; \
	echo "$$files" | while read -r file; do \
		[ -z "$$file" ] || sed -n "s|^func \($(1)[A-Za-z0-9_]*\)(.*|$${file%/*} \1|p" "$$file"; \
	done

# `go test -fuzz` takes one target at a time. What one finds is written into its
# testdata/fuzz, is told, and doesn't keep the others from running. Small inputs
# are worth little here, so little time goes into making them smaller.
fuzz: check-go ## Run each fuzz target for FUZZTIME (30s), or those named by FUZZ
	@targets=$$($(call list_tests,Fuzz)) || exit 1; \
	targets=$$(echo "$$targets" | awk '$$2 ~ /$(FUZZ)/'); \
	[ -n "$$targets" ] || { echo "no fuzz target matches FUZZ=$(FUZZ)"; exit 1; }; \
	log=$$(mktemp) && trap 'rm -f "$$log"' EXIT && trap 'exit 130' INT TERM; \
	echo "fuzzing $$(echo "$$targets" | wc -l) targets for $(FUZZTIME) each"; \
	echo "$$targets" | { \
		good=0; found=; \
		while read -r dir name; do \
			here=$${dir#$(CURDIR)/}; \
			if $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s \
				-parallel $(WORKERS) "$$dir" </dev/null >"$$log" 2>&1; then \
				good=$$((good + 1)); verdict="nothing found"; \
			else \
				sed '/^fuzz: elapsed/d' "$$log"; \
				found="$$found\n  $$name in $$here"; verdict="FAILED"; \
			fi; \
			runs=$$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$$log" | tail -n 1); \
			printf '%-24s %-16s %12s runs  %s\n' "$$name" "$$here" "$${runs:-0}" "$$verdict"; \
		done; \
		echo "$$good targets found nothing"; \
		[ -z "$$found" ] || { \
			printf "error: failed:$$found\n" >&2; \
			echo "what was found is in testdata/fuzz beside each target, where every later test tries it again: mend it, and commit both" >&2; \
			exit 1; }; }

# Each contender is loaded for BENCHTIME in each of ROUNDS, twelve minutes in all.
# MILLION=1 shows the gate a million tokens too, which takes some minutes more.
BENCHTIME ?= 3s
ROUNDS    ?= 6
PLAIN      = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -tags $(TAGS) $(NO_PROFILE)

bench: build bin/bench ## Compare with other gateways, and write docs/benchmarks.md; BENCHTIME, ROUNDS, MILLION=1
	@$(PLAIN) -o bin/bench/caddy-nopgo ./cmd/caddy
	@$(PLAIN) -o bin/bench/stock ./bench/stock
	@$(GO) run ./bench -update -time $(BENCHTIME) -rounds $(ROUNDS) $(if $(MILLION),-million) $(BENCHFLAGS)

bin/bench:
	@mkdir -p $@

# Only packages with benchmarks: the others would be built for nothing.
bench-go: check-go ## Run all Go benchmarks
	@found=$$($(call list_tests,Benchmark)) || exit 1; \
	[ -n "$$found" ] || { echo "no benchmarks"; exit 0; }; \
	dirs=$$(echo "$$found" | cut -d ' ' -f 1 | sort -u); \
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchmem $(TESTFLAGS) $$dirs

# What the compiler is told of where the time goes.
pgo: check-go bin/bench ## Record cmd/caddy/default.pgo anew, from the load of the benchmarks
	@$(PLAIN) -o bin/bench/caddy-nopgo ./cmd/caddy
	@$(GO) run ./bench -profile cmd/caddy/default.pgo -time 10s

clean: ## Remove what was built and the state of the quickstart (bin/, .run/)
	@rm -rf bin .run

# `go env GOVERSION` is the toolchain that would build here; a Go too old to
# read go.mod fails there, but still knows its own version.
check-go:
	@command -v $(GO) >/dev/null || { \
		echo "error: Go $(GO_NEEDED) or newer is needed, and no Go was found; get it from https://go.dev/dl/" >&2; exit 1; }
	@found=$$($(GO) env GOVERSION 2>/dev/null) && [ -n "$$found" ] || found=$$($(GO) version | cut -d ' ' -f 3); \
	echo "$$found" | awk -v needed=$(GO_NEEDED) '{ \
		split(needed, n, "."); \
		if (match($$0, /[0-9]+(\.[0-9]+)?/)) split(substr($$0, RSTART, RLENGTH), f, "."); \
		exit !(f[1] > n[1] || f[1] == n[1] && f[2] + 0 >= n[2] + 0 || $$0 ~ /devel/) }' || { \
		echo "error: Go $(GO_NEEDED) or newer is needed, found $$found; get it from https://go.dev/dl/" >&2; exit 1; }

# The race detector is C inside.
check-cc:
	@cc=$$($(GO) env CC); command -v "$${cc%% *}" >/dev/null || { \
		echo "error: make test uses the race detector, which needs a C compiler, and $$cc was not found;" >&2; \
		echo "       install gcc or clang, or test without it: make axe && $(GO) test -tags $(TAGS) ./..." >&2; exit 1; }

# The pages for people are tested in a browser, under any of these names.
check-chromium:
	@for name in chromium chromium-browser google-chrome google-chrome-stable chrome headless-shell; do \
		command -v $$name >/dev/null && exit 0; \
	done; \
	echo "error: make test looks at the pages for people with Chromium, which was not found; install it, as with" >&2; \
	echo "       sudo apt-get install --no-install-recommends chromium" >&2; exit 1

# All that is missing at once, and not one thing after the other.
check-clients:
	@missing=; need() { missing="$$missing\n       $$1"; }; \
	node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null || need 'Node.js 20 or newer (node)'; \
	command -v npm >/dev/null || need 'npm'; \
	python3 -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || need 'Python 3.10 or newer with venv (python3, python3-venv)'; \
	command -v javac >/dev/null && command -v keytool >/dev/null || need 'a JDK, 17 or newer (java, javac, keytool)'; \
	command -v mvn >/dev/null || need 'Maven (mvn)'; \
	command -v curl >/dev/null || need 'curl'; \
	[ -z "$$missing" ] || { \
		printf "error: make clients, and so make test, runs OAuth libraries of other languages; missing:$$missing\n" >&2; \
		printf '       or test without them: make proof axe, and %s test -tags %s ./...\n' '$(GO)' '$(TAGS)' >&2; exit 1; }

include xcaddy.mk
