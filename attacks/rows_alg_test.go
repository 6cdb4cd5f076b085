package attacks

func init() {
	register(rows{
		"JWT-ALG-01": unsignedWith("none"),
		"JWT-ALG-02": unsignedWith("None"),
		"JWT-ALG-03": unsignedWith("NONE"),
		"JWT-ALG-04": unsignedWith("nOnE"),
		"JWT-ALG-06": unsignedWith("\x00none"),
	})
}

// unsignedWith presents admin's claims without a signature.
func unsignedWith(algorithm string) func(*attack) {
	return func(a *attack) {
		a.get("/v1/admin/users", a.tokenAdmin()).passed() // with a signature they are good
		a.results = nil
		a.get("/v1/admin/users", a.compact(a.encode(a.header().with("alg", algorithm)), a.encode(a.claims("admin")), unsigned)).
			refused(401, invalidToken)
	}
}
