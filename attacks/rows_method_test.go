package attacks

import "net/http"

func init() {
	register(rows{
		"METHOD-03": func(a *attack) {
			for _, line := range []string{"X-HTTP-Method: PUT", "X-Method-Override: PATCH", "X-HTTP-Method-Override: DELETE"} {
				a.ignores("GET", "/v1/accounts", "", line)
				a.ignores("POST", "/v1/orders", "a=1", line)
			}
		},
		// What a body or a query means is the backend's: frameworks that take the
		// method from there must have that switched off.
		"METHOD-04": func(a *attack) {
			a.ignores("POST", "/v1/orders?_method=DELETE", "_method=DELETE")
			a.request("POST", "http://gw.test/v1/orders?_method=GET", "_method=GET", http.Header{"Authorization": {"Bearer " + a.tokenRead()}}).refused(403, insufficientScope)
		},
		"METHOD-05": func(a *attack) {
			for _, method := range []string{"get", "GeT"} {
				for _, path := range []string{"/v1/accounts", "/v1/admin/users", "/public/x"} {
					a.raw(method+" "+path+" HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer "+a.tokenRead()+"\r\n\r\n").refused(400, invalidRequest)
				}
			}
		},
		"PATH-85": func(a *attack) {
			for _, method := range []string{"PROPFIND", "ARBITRARY", "TRACE", "POST", "OPTIONS"} {
				for _, token := range []string{a.tokenRead(), a.tokenAdmin()} {
					a.raw(method+" /v1/accounts HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer "+token+"\r\n\r\n").refused(403, noRoute)
				}
			}
		},
	})
}
