# The same Caddy as `make build`, built by xcaddy: for those who add modules
# of their own (XCADDY_WITH) or have xcaddy in their pipeline already. It is
# included by the Makefile and works alone too: make -f xcaddy.mk xcaddy

XCADDY        ?= xcaddy
CADDY_VERSION ?= v2.11.9

# More modules: make xcaddy XCADDY_WITH='--with github.com/a/b --with github.com/c/d'
XCADDY_WITH ?=

# As in the Makefile: no paths, no symbols, no drivers of Caddy's own CA.
export XCADDY_GO_BUILD_FLAGS ?= -trimpath -ldflags '-s -w' -tags nobadger,nomysql,nopgx

# --with names the package that main imports. It lies inside the module, and a
# replacement goes by module path: --with PACKAGE=DIR would replace a module
# that does not exist. So the module is replaced by this checkout.
BEARER_MODULE := github.com/caddy-bearer/caddy-bearer
BEARER_DIR    := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))

.PHONY: xcaddy
xcaddy: ## Build bin/caddy with an installed xcaddy
	@command -v $(XCADDY) >/dev/null || { \
		echo "error: xcaddy was not found. Either install it:" >&2; \
		echo "         go install github.com/caddyserver/xcaddy/cmd/xcaddy@latest" >&2; \
		echo "       (and have \$$(go env GOPATH)/bin in PATH), or run: make build, which needs Go alone" >&2; \
		exit 1; }
	@mkdir -p '$(BEARER_DIR)/bin'
	@$(XCADDY) build $(CADDY_VERSION) --output '$(BEARER_DIR)/bin/caddy' \
		--with $(BEARER_MODULE)/caddymodule \
		--replace '$(BEARER_MODULE)=$(BEARER_DIR)' \
		$(XCADDY_WITH)
