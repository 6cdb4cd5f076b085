package attacks

import (
	"strconv"
	"strings"
)

func init() {
	register(rows{
		// Case counts: a policy has no other spelling of its paths.
		"PATH-01": unrouted("/V1/ADMIN/users"),
		"PATH-02": unrouted("/v1/Admin/users"),

		"PATH-03": unreadable("/v1//admin/users"),
		"PATH-04": unreadable("//v1/admin/users"),
		"PATH-05": unreadable("///v1/admin/users"),
		"PATH-15": unreadable("/public%2f..%2fv1%2fadmin%2fusers"),
		"PATH-17": unreadable("/public/%252e%252e%252fv1%252fadmin"),
		"PATH-20": judged("/v1/%61dmin/users"),
		"PATH-22": judged("/v1/adm%69n/users"),
		"PATH-24": unreadable("/v1%2Fadmin/users"),
		"PATH-26": unreadable("/v1/admin;/users"),
		"PATH-27": unreadable("/v1/admin;a=b/users"),
		"PATH-28": unreadable("/v1;x/admin/users"),
		"PATH-29": unreadable("/v1/admin%3b/users"),
		"PATH-30": judged("/v1/admin/users/"),
		"PATH-31": unreadable("/v1/admin/users//"),
		"PATH-32": unreadable("/v1/admin/users/."),
		"PATH-33": unreadable("/v1/admin/users%2f"),
		"PATH-36": unreadable("/v1/admin/users%00"),
		"PATH-37": unreadable("/v1/admin/users%00.json"),
		"PATH-41": unreadable("/v1/admin/users%23"),
		"PATH-43": judged("/v1/admin/users.json"),
		"PATH-44": unreadable(`/v1\admin\users`),
		"PATH-45": unreadable(`/public\..\v1\admin\users`),
		"PATH-46": unreadable("/public%5c..%5cv1%5cadmin%5cusers"),
		"PATH-50": unreadable("/public/%e0%80%af../v1/admin/users"),
		"PATH-51": unrouted("/v1/%ef%bd%81dmin/users"),
		"PATH-52": unrouted("/v1/adm\u0131n/users", "/v1/adm%c4%b1n/users"),
		"PATH-54": notTargets("/public/..%u002fv1/admin/users", "/v1/%u0061dmin/users"),
		"PATH-56": unreadable("/public/%2e%2e%3b/v1/admin/users"),
		"PATH-57": unreadable("/v1/accounts/..%2fadmin/users"),
		"PATH-58": unreadable("/v1/accounts/%2e%2e/admin/users"),

		"PATH-64": judged("http://gw.test/v1/admin/users"),
		"PATH-66": unreadable("https://gw.test@evil.test/v1/admin/users"),

		"PATH-78": func(a *attack) {
			for _, other := range []string{"gw.test", "evil.test"} {
				a.raw("GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\nHost: "+other+"\r\nAuthorization: Bearer "+a.tokenRead()+"\r\n\r\n").refused(400, notByGate)
			}
		},
		"PATH-80": func(a *attack) { a.ignores("GET", "/public/x", "", "X-Original-URL: /v1/admin/users") },
		"PATH-81": func(a *attack) { a.ignores("GET", "/public/x", "", "X-Rewrite-URL: /v1/admin/users") },
		"PATH-86": unrouted("/v2/x"),
		"PATH-87": func(a *attack) {
			a.refusesTarget(414, tooLong, "/public"+strings.Repeat("/segments", 1000))
			a.refusesTarget(431, notByGate, "/public/"+strings.Repeat("a", 100<<10))
			a.refusesTarget(403, noRoute, "/v2"+strings.Repeat("/a", 1000))
		},
	})
}

// tooLong is the gate's code for a path that is too long.
const tooLong = "uri_too_long"

// judged are targets that mean /v1/admin/users, or what lies there: they need the
// scope admin, and the backend gets the very bytes that were judged.
func judged(targets ...string) func(*attack) {
	return func(a *attack) {
		for _, target := range targets {
			a.get(target, a.tokenRead()).refused(403, insufficientScope)
			a.get(target, "").refused(401, noCredentials)
			seen := a.get(target, a.tokenAdmin()).passed()
			if want := "GET " + strings.TrimPrefix(target, "http://gw.test") + " HTTP/1.1\r\n"; !strings.HasPrefix(seen.raw, want) {
				a.Errorf("%s was judged, and sent as %.100q", target, seen.raw)
			}
		}
	}
}

// unreadable are targets that are refused because not everybody would read them
// alike, whoever asks.
func unreadable(targets ...string) func(*attack) {
	return func(a *attack) {
		for _, target := range targets {
			a.refusesTarget(400, invalidRequest, target)
		}
	}
}

// unrouted are targets that no route of the policy has, whoever asks.
func unrouted(targets ...string) func(*attack) {
	return func(a *attack) {
		for _, target := range targets {
			a.refusesTarget(403, noRoute, target)
		}
	}
}

// notTargets are refused before the gate sees them: they are no request targets
// (RFC 9112 §3.2).
func notTargets(targets ...string) func(*attack) {
	return func(a *attack) {
		for _, target := range targets {
			a.refusesTarget(400, notByGate, target)
		}
	}
}

// refusesTarget sends a target with T_READ, without a token and with T_ADMIN.
func (a *attack) refusesTarget(status int, code, target string) {
	a.Helper()
	for _, token := range []string{a.tokenRead(), "", a.tokenAdmin()} {
		a.get(target, token).refused(status, code)
	}
}

// ignores sends a request with lines that would change method or path, and wants it
// to reach the backend as if they were not there.
func (a *attack) ignores(method, path, body string, lines ...string) received {
	a.Helper()
	token := a.mint(a.header(), a.claims("accounts:read orders:write"))
	head := []string{method + " " + path + " HTTP/1.1", "Host: gw.test", "Authorization: Bearer " + token}
	if body != "" {
		head = append(head, "Content-Type: application/x-www-form-urlencoded", "Content-Length: "+strconv.Itoa(len(body)))
	}
	seen := a.raw(strings.Join(append(head, lines...), "\r\n") + "\r\n\r\n" + body).passed()
	if !strings.HasPrefix(seen.raw, method+" "+path+" HTTP/1.1\r\n") {
		a.Errorf("sent as %.100q", seen.raw)
	}
	if seen.body != body {
		a.Errorf("body %q", seen.body)
	}
	for _, line := range lines {
		if name, _, _ := strings.Cut(line, ":"); len(seen.lines(name)) > 0 {
			a.Errorf("the backend saw %q", seen.lines(name))
		}
	}
	return seen
}

// lines are a request's header lines, and trailer lines, of this name for a server
// that makes one of case and all punctuation.
func (r received) lines(name string) (found []string) {
	for line := range strings.SplitSeq(r.raw, "\r\n") {
		if given, _, is := strings.Cut(line, ":"); is && folded(given) == folded(name) {
			found = append(found, line)
		}
	}
	return found
}

func folded(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(strings.TrimSpace(name)))
}
