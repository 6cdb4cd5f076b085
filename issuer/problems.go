package issuer

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
)

// problem is a page for people: what a refusal of the gate means and what to do
// about it. The type member of the gate's problem documents (RFC 9457 §3.1.1)
// is its address, with the code's underscores as hyphens.
func (i *Issuer) problem(x *exchange) (response, error) {
	page, known := problemPages[x.PathValue("code")]
	answer := response{
		status: http.StatusOK, contentType: "text/html; charset=utf-8", cache: cacheable,
		header: map[string]string{"Content-Security-Policy": problemCSP},
		body:   page,
	}
	if !known {
		answer.status, answer.cache, answer.body = http.StatusNotFound, "", unknownProblem
	}
	return answer, nil
}

// problemText is what a page says.
type problemText struct {
	Status string // as on the wire
	Title  string
	Means  string
	Do     []string
}

// problemTexts has a page for each code that the gate answers with.
var problemTexts = map[string]problemText{
	"invalid-request": {
		Status: "400 Bad Request",
		Title:  "The request cannot be judged",
		Means:  "Something in the request can be read in more than one way, so nobody can say which right it needs. The detail in the answer says what it is.",
		Do: []string{
			"Send one token, in one place: Authorization: Bearer TOKEN, with one blank between the two.",
			"Write the path plainly: no empty segments, no dot segments, no encoded slash or percent sign, no backslash.",
			"Send no Connection header of your own.",
		},
	},
	"no-credentials": {
		Status: "401 Unauthorized",
		Title:  "No token was presented",
		Means:  "This route needs a token and the request has none where one is looked for. A token in the address is not looked at: addresses end up in logs.",
		Do: []string{
			"Send the header Authorization: Bearer TOKEN with each request.",
			"Check that your HTTP client does not drop the header when it follows a redirect.",
		},
	},
	"invalid-token": {
		Status: "401 Unauthorized",
		Title:  "The token is not valid",
		Means:  "The token has expired, was revoked, was cut short on its way, belongs to the other environment, or the rights that it was made with have changed.",
		Do: []string{
			"Renew it with the refresh token, once, and repeat the request with the new one.",
			"If renewing fails with invalid_grant, start again with a new code.",
			"Check that sandbox tokens go to the sandbox and production tokens to production.",
			"Repeating the request with the same token will not help.",
		},
	},
	"insufficient-scope": {
		Status: "403 Forbidden",
		Title:  "The token lacks a scope",
		Means:  "The token is good, but it does not carry a scope that this route asks for. The answer and the WWW-Authenticate header say which.",
		Do: []string{
			"Ask for the missing scope when you request the next code. Renewing keeps the scopes as they are.",
			"If that is refused with invalid_scope, your client or service account may not have it: ask who runs this service.",
		},
	},
	"account-not-granted": {
		Status: "403 Forbidden",
		Title:  "The token is not for this account",
		Means:  "The token has the right scopes, but the account in the path is none of those that it was granted for.",
		Do: []string{
			"Check the account number in the path.",
			"If the account was bound to your service account after the token was granted, request a new code: a grant covers the accounts of its day.",
		},
	},
	"address-not-allowed": {
		Status: "403 Forbidden",
		Title:  "The token may not be used from here",
		Means:  "Whoever issued the token named the networks that it may be used from, and the address that this request came from is in none of them.",
		Do: []string{
			"Run the program where the token was meant to be used, or ask for one that is good for your address.",
			"If the address changed, ask for a new token: the networks of an issued one stay as they are.",
			"If you do not use the token from elsewhere, somebody else has it: have it revoked at once.",
		},
	},
	"origin-not-allowed": {
		Status: "403 Forbidden",
		Title:  "The page may not use this route",
		Means:  "A browser asked on behalf of a page, and the page's origin is none of those that the policy lets in: scheme, host and port must be the same. Programs that are no page are not concerned.",
		Do: []string{
			"Compare the Origin header of the request with the address under which your page is known to whoever runs this service.",
			"Ask them to add the origin to the policy.",
		},
	},
	"no-route": {
		Status: "403 Forbidden",
		Title:  "No route allows this request",
		Means:  "There is no rule for this method and path, and what has no rule is denied, whatever the token.",
		Do: []string{
			"Check the method and the spelling of the path: upper and lower case count, and so does a slash at the end.",
		},
	},
	"method-not-allowed": {
		Status: "405 Method Not Allowed",
		Title:  "The method is not allowed",
		Means:  "CONNECT is accepted for WebSocket over HTTP/2 and HTTP/3 only.",
		Do: []string{
			"Do not use this service as a proxy.",
		},
	},
	"content-too-large": {
		Status: "413 Content Too Large",
		Title:  "The body is too large",
		Means:  "The body of the request has more bytes than this service takes; the detail in the answer says how many that are. The request was not carried out, or was ended when it became too large.",
		Do: []string{
			"Send less at a time.",
			"Ask who runs this service if bodies of that size are meant to be sent.",
		},
	},
	"uri-too-long": {
		Status: "414 URI Too Long",
		Title:  "The path or the address is too long",
		Means:  "The path is longer than any that a rule could be meant for, or path and query together are longer than this service takes.",
		Do: []string{
			"Put long values into the body.",
		},
	},
	"header-too-large": {
		Status: "431 Request Header Fields Too Large",
		Title:  "The header is too large",
		Means:  "The request has more header fields than this service takes, or more bytes in them. The detail in the answer says how many that are.",
		Do: []string{
			"Look at what your program, or a proxy on the way, adds to each request. Cookies that have piled up are the usual reason.",
		},
	},
	"too-many-invalid-tokens": {
		Status: "429 Too Many Requests",
		Title:  "Too many tokens from this address were not valid",
		Means:  "Many requests from your address came with tokens that this service never issued. New tokens from there are looked at slowly for a while, and this one was not looked at. Nothing is known against it. Tokens that were used a moment ago go on working.",
		Do: []string{
			"Wait as long as the Retry-After header says, then repeat the request with the same token.",
			"Look for a program of yours that makes tokens up, or sends those of another service.",
			"If all requests reach this service through one proxy, tell who runs it: it may count the proxy's address for yours.",
		},
	},
	"rate-limited": {
		Status: "429 Too Many Requests",
		Title:  "The token is used too often",
		Means:  "The token was issued with a rate, and this request is beyond it. It was not carried out. The RateLimit-Policy header says how many requests are good for how many seconds.",
		Do: []string{
			"Wait as long as the Retry-After header says, then repeat the request with the same token.",
			"Read the RateLimit header of each answer: r is how many requests would pass at once, t in how many seconds there is one more.",
			"Use a token of its own for each program: all that use the same one share its rate.",
		},
	},
	"temporarily-unavailable": {
		Status: "503 Service Unavailable",
		Title:  "Try again",
		Means:  "Whether the token is valid cannot be found out at the moment, so the request is refused. Nothing is known against the token.",
		Do: []string{
			"Wait as long as the Retry-After header says, then repeat the request with the same token.",
			"Do not throw the token away and do not request a new code.",
		},
	},
}

const problemStyle = `body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}` +
	`h1{font-size:1.5rem;line-height:1.2}code{font-size:1rem;background:#eee;padding:.1em .3em}`

var problemTemplate = template.Must(template.New("problem").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>` + problemStyle + `</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<p><code>{{.Status}}</code></p>
<p>{{.Means}}</p>
{{with .Do}}<h2>What to do</h2>
<ul>
{{range .}}<li>{{.}}</li>
{{end}}</ul>
{{end}}</main>
</body>
</html>
`))

// The pages hold nothing of the request, so they are written once.
var (
	problemPages   = renderProblems()
	unknownProblem = renderProblem(problemText{
		Status: "404 Not Found",
		Title:  "There is no such problem",
		Means:  "No answer of this service refers to this page.",
	})
	problemCSP = contentSecurityPolicy(problemStyle)
)

func renderProblems() map[string][]byte {
	pages := make(map[string][]byte, len(problemTexts))
	for code, text := range problemTexts {
		pages[code] = renderProblem(text)
	}
	return pages
}

func renderProblem(text problemText) []byte {
	var page bytes.Buffer
	if err := problemTemplate.Execute(&page, text); err != nil {
		panic("issuer: problem page: " + err.Error())
	}
	return page.Bytes()
}

// contentSecurityPolicy allows the one style sheet in the page and nothing else.
func contentSecurityPolicy(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
