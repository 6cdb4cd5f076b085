package issuer

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
)

// declined hands back that the user wants none of it.
func (i *Issuer) declined(p *person, call *connectCall) response {
	return i.handBack(p, call, []pages.Field{
		{Name: "success", Value: "false"}, {Name: "type", Value: "ACCESS_DENIED"}, {Name: "msg", Value: "the user declined"},
	})
}

// The ways in which an app may get the answer.
const (
	modeForm    = "form_post"   // OAuth 2.0 Form Post Response Mode
	modeMessage = "web_message" // OAuth 2.0 Web Message Response Mode (draft-sakimura-oauth-wmrm)
)

// messageOrigin is the origin whose window gets the answer as a message, or "" if
// the browser carries a form. Any page of that origin could ask for a message, also
// one that the app knows nothing of. So it is sent only where the app registered
// the origin itself, as a redirect URI without a path, beside the one that the call
// names: an app that takes forms cannot be made to take messages.
func messageOrigin(call *connectCall, mode string) (string, error) {
	switch mode {
	case "", modeForm:
		return "", nil
	case modeMessage:
	default:
		return "", notConnected("mode", "Form", modeForm, "Message", modeMessage)
	}
	origin := originOf(call.redirect)
	if origin == "" || !slices.Contains(call.app.RedirectURIs, origin) {
		return "", notConnected("no_messages")
	}
	return origin, nil
}

// handBack is the page that takes the answer to the app: its form takes the browser
// there. If the app asked for a message, a script sends that to the window which
// opened this one, and the form is for where it can't.
func (i *Issuer) handBack(p *person, call *connectCall, fields []pages.Field) response {
	if call.state != "" {
		fields = append(fields, pages.Field{Name: "state", Value: call.state})
	}
	body := pages.HandBack(pages.HandBackData{
		Layout: i.layoutFor("", p), App: shownName(&call.app), To: call.redirect, Returns: originOf(call.redirect), Fields: fields,
		Connected: fields[0].Value == "true", Message: call.message,
	})
	return pageResponse(http.StatusOK, body, formTarget(call.redirect)).keepingOpener()
}

// CheckPostURI is CheckRedirectURI for an app of the access code exchange, to
// which a browser sends a form: that needs the web.
func CheckPostURI(raw string) error {
	if err := CheckRedirectURI(raw); err != nil {
		return err
	}
	if !strings.HasPrefix(raw, "https://") && !strings.HasPrefix(raw, "http://") {
		return fmt.Errorf("redirect URI %q: must begin with https://, because the app receives a form there, which no other scheme can take", raw)
	}
	return nil
}

// originOf is the origin of a redirect URI, as browsers write it. It is empty if the URI is
// not one that CheckPostURI lets pass.
func originOf(raw string) string {
	if CheckPostURI(raw) != nil {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return webOrigin(u)
}
