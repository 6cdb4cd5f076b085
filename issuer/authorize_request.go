package issuer

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Bounds of an authorization request, in bytes. A longer one is answered by a
// page: state goes back as it came or not at all. The query must find its way
// through the sign-in page (maxNext).
const (
	maxAuthorizeQuery = 7 << 10
	maxAuthorizeState = 4 << 10
)

// Error codes of RFC 6749 §4.1.2.1, RFC 8707 §2 and OpenID Connect Core 1.0
// §3.1.2.6, which ordinary libraries know.
const (
	codeUnsupportedResponseType = "unsupported_response_type"
	codeInvalidTarget           = "invalid_target"
	codeLoginRequired           = "login_required"
	codeConsentRequired         = "consent_required"
	codeRequestNotSupported     = "request_not_supported"
	codeRequestURINotSupported  = "request_uri_not_supported"
)

// authorization is an authorization request (RFC 6749 §4.1.1) whose client and
// redirect URI are known to be good: what else is wrong is told to the client.
type authorization struct {
	client      store.Client
	redirectURI string // where the answer goes
	named       string // the redirect URI as it was named; empty: it was left out
	state       string
	parameters  form
	repeated    bool // a parameter is, of those that a redirect can complain of

	challenge string   // S256 (RFC 7636 §4.2); empty: none
	scopes    []string // that are asked for
	prompts   []string
}

// readAuthorization finds out who asks and where the answer may go. Its errors
// are for the person at the browser: nobody is redirected.
func (i *Issuer) readAuthorization(x *exchange) (*authorization, error) {
	query := x.URL.RawQuery
	if len(query) > maxAuthorizeQuery {
		return nil, misledBy("request_too_long")
	}
	f, repeated, err := parsePairs(query)
	if err != nil {
		return nil, err
	}
	switch {
	case repeated["client_id"] || repeated["redirect_uri"]:
		return nil, misledBy("repeated")
	case f["client_id"] == "":
		return nil, misledBy("no_client")
	}
	client, err := i.authorizingClient(x, f["client_id"])
	if err != nil {
		return nil, err
	}
	a := &authorization{
		client: client, named: f["redirect_uri"], redirectURI: redirectFor(&client, f["redirect_uri"]),
		state: f["state"], parameters: f, repeated: len(repeated) > 0,
	}
	switch {
	case a.redirectURI == "" && a.named == "":
		return nil, misledBy("no_place")
	case a.redirectURI == "":
		return nil, misledBy("other_place")
	case len(a.state) > maxAuthorizeState:
		return nil, misledBy("state_too_long")
	case repeated["state"]:
		a.state = "" // which of them is anybody's guess
	}
	return a, nil
}

// misledBy tells people what is wrong with the app that sent them here.
func misledBy(what string) error {
	return pageError(http.StatusBadRequest, codeInvalidRequest, "error.app."+what)
}

// authorizingClient finds a client that may send people here. Of one that does
// not exist nothing else is said than of one that may not.
func (i *Issuer) authorizingClient(x *exchange, id string) (store.Client, error) {
	unknown := misledBy("unknown")
	if !isCredential(id) {
		return store.Client{}, unknown
	}
	found, err := i.findParty(x.Context(), id)
	if err != nil {
		return store.Client{}, err
	}
	client := found.Client
	if client.ID == "" || client.Status != store.Active || client.Source == store.BuiltIn || len(client.RedirectURIs) == 0 {
		return store.Client{}, unknown
	}
	return client, nil
}

// checkAuthorization finds what else is wrong with a request. All its errors are told to the
// client.
func (i *Issuer) checkAuthorization(a *authorization) (err error) {
	f := a.parameters
	audience := i.authority.Settings().Audience
	switch {
	case a.repeated:
		return invalidRequest("a parameter is repeated")
	case f["request"] != "":
		return oauthRefusal(codeRequestNotSupported, "request objects are not supported")
	case f["request_uri"] != "":
		return oauthRefusal(codeRequestURINotSupported, "request_uri is not supported")
	case f["response_type"] == "":
		return invalidRequest("response_type is missing")
	case f["response_type"] != "code":
		return oauthRefusal(codeUnsupportedResponseType, "response_type must be code")
	case f["response_mode"] != "" && f["response_mode"] != "query":
		return invalidRequest("response_mode must be query")
	}
	if err := checkResource(f, audience); err != nil {
		return err
	}
	if a.challenge, err = challengeOf(&a.client, f); err != nil {
		return err
	}
	if a.challenge == "" && a.state == "" {
		return invalidRequest("state is missing: without code_challenge nothing else protects the answer")
	}
	if a.prompts, err = parsePrompts(f["prompt"]); err != nil {
		return err
	}
	a.scopes, err = i.ownScopes(f["scope"], a.client.MaxScopes)
	return err
}

// checkResource wants the one API that tokens of this environment are for (RFC
// 8707 §2).
func checkResource(f form, audience string) error {
	if f["resource"] != "" && f["resource"] != audience {
		return oauthRefusal(codeInvalidTarget, "tokens are for one resource alone, and this is another")
	}
	return nil
}

// challengeOf reads the challenge of RFC 7636 §4.3. Only S256 exists here, and a
// request that doesn't name its method means plain.
func challengeOf(client *store.Client, f form) (string, error) {
	challenge, method := f["code_challenge"], f["code_challenge_method"]
	switch {
	case challenge == "" && method != "":
		return "", invalidRequest("code_challenge_method stands without code_challenge")
	case challenge == "" && (client.Public || !client.PKCEOptional):
		return "", invalidRequest("code_challenge is missing: PKCE is required (RFC 7636)")
	case challenge == "":
		return "", nil
	case method != "S256":
		return "", invalidRequest("code_challenge_method must be S256")
	}
	hash, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(hash) != 32 || len(challenge) != 43 {
		return "", invalidRequest("code_challenge is no SHA-256 hash in base64url without padding")
	}
	return challenge, nil
}

// knownPrompts are those of OpenID Connect Core 1.0 §3.1.2.1. Which account is
// signed in shows on the consent page, so there is nothing to do for
// select_account; and consent is asked for each time.
var knownPrompts = []string{"none", "login", "consent", "select_account"}

func parsePrompts(list string) ([]string, error) {
	prompts := strings.Fields(list)
	for _, prompt := range prompts {
		if !slices.Contains(knownPrompts, prompt) {
			return nil, invalidRequest("prompt must be none, login, consent or select_account")
		}
	}
	if slices.Contains(prompts, "none") && len(prompts) > 1 {
		return nil, invalidRequest("prompt none stands alone")
	}
	return prompts, nil
}

// answer sends the browser back to the client (RFC 6749 §4.1.2), with state and
// iss (RFC 9207 §2).
func (a *authorization) answer(issuer string, pairs ...string) response {
	return seeOther(withQuery(a.redirectURI, append(pairs, "state", a.state, "iss", issuer)...))
}

// refusal sends the browser back with an error (RFC 6749 §4.1.2.1).
func (a *authorization) refusal(issuer string, err error) response {
	e := asOAuthError(err)
	return a.answer(issuer, "error", e.code, "error_description", e.description)
}
