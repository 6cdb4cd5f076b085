package issuer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// newIntegration shows the form of a token, and issues one.
func (i *Issuer) newIntegration(x *exchange, p *person) (response, error) {
	r, err := i.presentRights(x, p)
	if err != nil {
		return response{}, err
	}
	if x.Method != http.MethodPost {
		sent := i.filledIn(x, p)
		if sent == nil {
			sent = i.preset(x.URL.Query().Get("preset"), &r)
		}
		return i.integrationForm(x, p, &r, http.StatusOK, sent, nil, nil), nil
	}
	f, err := readBodyForm(x.Request)
	if err != nil {
		return response{}, err
	}
	if err := p.checkForm(f); err != nil {
		return response{}, err
	}
	return i.issueIntegration(x, p, &r, f)
}

// issueIntegration issues what the form says, at once, and shows it once. What is
// wrong is said beside the fields, which keep what was typed.
func (i *Issuer) issueIntegration(x *exchange, p *person, r *rights, f form) (response, error) {
	again := func(status int, problems pages.Problems) (response, error) {
		return i.integrationForm(x, p, r, status, f, problems, nil), nil
	}
	row, grant, problems := i.readIntegration(f, r, x.now)
	if len(problems) > 0 {
		return again(http.StatusUnprocessableEntity, problems)
	}
	var ok bool
	if row.ID, ok = token.DeriveID(f["once"], string(i.environment), p.user.ID); !ok {
		return response{}, invalidRequest("this form is none of ours: load the page again")
	}
	if away, err := i.mustConfirm(x, p, f, func() url.Values { return i.keepFilledIn(p, f) }, again); away != nil || err != nil {
		return orEmpty(away), err
	}
	raw, hash := i.keyring.NewOpaque(store.Personal)
	row.Hash, row.KeyID = hash, token.KeyIDOf(raw)
	_, err := i.store.Issue(x.Context(), store.Issue{
		Grant: grant, Tokens: []store.Token{row}, Event: i.personEvent(x, "personal_token.issue", "token:"+row.ID),
	})
	switch {
	case errors.Is(err, store.ErrExists):
		return again(http.StatusConflict, pages.Problems{"form": integrationProblem("saved_before", "")})
	case errors.Is(err, store.ErrRevoked), errors.Is(err, store.ErrNotFound):
		return again(http.StatusConflict, pages.Problems{"form": integrationProblem("changed", "")})
	case err != nil:
		return response{}, fmt.Errorf("issue token: %w", err)
	}
	x.grant, x.issued = grant.ID, GrantPersonal
	return i.integrationForm(x, p, r, http.StatusCreated, f, nil, i.issuedToken(raw, &row, &grant)), nil
}

// confirmation says whether a form asks for the password.
func (i *Issuer) confirmation(x *exchange, p *person) pages.Confirm {
	switch {
	case i.upstream != nil:
		return pages.ConfirmElsewhere
	case p.justAuthenticated(x.now):
		return pages.ConfirmMaybe
	}
	return pages.ConfirmNeeded
}

// mustConfirm is mustStepUp for a form, which must not be lost by it. The password is
// a field of the form: as it takes longer to fill in than a password counts as
// just given, it would be asked for twice otherwise. People of a provider are sent
// there, and what they filled in waits for them in the address, sealed (query).
//
// It returns nil for whoever may go on. Again shows the form with its problems.
func (i *Issuer) mustConfirm(x *exchange, p *person, f form, query func() url.Values, again func(int, pages.Problems) (response, error)) (*response, error) {
	switch {
	case p.justAuthenticated(x.now):
		return nil, nil
	case i.upstream != nil:
		back := x.URL.EscapedPath()
		if query != nil {
			if kept := back + "?" + query().Encode(); len(kept) <= maxNext {
				back = kept // a longer one is not led back to: then the form is empty
			}
		}
		away := seeOther(i.signInURL(i.localPath(back), true))
		return &away, nil
	case f["password"] == "":
		answer, err := again(http.StatusUnprocessableEntity, pages.Problems{"password": integrationProblem("password_missing", "")})
		return &answer, err
	}
	x.sorry = func(e *oauthError) (response, bool) {
		problem := integrationProblem("password_wrong", "")
		switch {
		case e.status == http.StatusTooManyRequests:
			problem = integrationProblem("password_later", "")
		case e.code != codeInvalidUser:
			return response{}, false
		}
		answer, err := again(e.status, pages.Problems{"password": problem})
		return answer, err == nil
	}
	_, err := i.authenticateUser(x, p.user.ID, f["password"])
	return nil, err
}

// filledSeal is what a filled in form is sealed for: nobody else can make an address
// that fills the form in, or open one.
func (i *Issuer) filledSeal(p *person) []byte {
	return []byte("integration form of " + p.user.ID + " in " + string(i.environment))
}

// keepFilledIn is what a form says, for the address to which a person comes back.
func (i *Issuer) keepFilledIn(p *person, f form) url.Values {
	kept := url.Values{}
	for name, value := range f {
		if name != "csrf" && name != "once" && name != "password" {
			kept.Set(name, value)
		}
	}
	id := i.keyring.KeyID() // before and after may be a rotation of the root key: then it can't be opened
	box := i.keyring.Seal([]byte(kept.Encode()), i.filledSeal(p))
	return url.Values{"filled": {id + "." + base64.RawURLEncoding.EncodeToString(box)}}
}

// filledIn reads that again; nil: there is nothing, or nothing of ours.
func (i *Issuer) filledIn(x *exchange, p *person) form {
	id, sealed, _ := strings.Cut(x.URL.Query().Get("filled"), ".")
	box, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || id == "" {
		return nil
	}
	plain, err := i.keyring.Unseal(id, box, i.filledSeal(p))
	if err != nil {
		return nil
	}
	f, err := parseForm(string(plain))
	if err != nil {
		return nil
	}
	return f
}

// issuedToken is what a page shows of a token that was issued at this moment.
func (i *Issuer) issuedToken(raw string, row *store.Token, grant *store.Grant) *pages.Issued {
	return &pages.Issued{
		Name: row.Label, Token: raw, Expires: row.Expires,
		Example: i.exampleCall(grant.Scopes, grant.Accounts),
	}
}

// exampleCall is the address of something in the API that a token opens: "" if the
// policy has nothing that can be named like that.
func (i *Issuer) exampleCall(scopes, accounts []string) string {
	p := i.policy()
	for _, route := range p.Routes() {
		if route.Public || !slices.Contains(route.Methods, http.MethodGet) {
			continue
		}
		path, ok := examplePath(route.Path, accounts)
		if !ok {
			continue
		}
		m, _ := p.Match(http.MethodGet, path)
		if p.Decide(&m, policy.Facts{Scopes: p.Set(scopes), Accounts: accounts}).Allow {
			return strings.TrimSuffix(i.authority.Settings().Audience, "/") + (&url.URL{Path: path}).EscapedPath()
		}
	}
	return ""
}

// examplePath puts an account where a pattern has a wildcard.
func examplePath(pattern string, accounts []string) (string, bool) {
	parts := strings.Split(pattern, "/")
	for k, part := range parts {
		switch {
		case !strings.Contains(part, "{"):
		case len(accounts) == 0 || strings.Contains(part, "..."):
			return "", false
		default:
			parts[k] = accounts[0]
		}
	}
	return strings.Join(parts, "/"), true
}
