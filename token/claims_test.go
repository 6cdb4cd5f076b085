package token

import (
	stdjson "encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func seconds(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// payload writes good claims, changed by pairs of name and raw JSON. An empty
// value leaves the member out.
func payload(changes ...string) string {
	members := [][2]string{
		{"iss", `"` + testIssuer + `"`}, {"sub", `"alice"`}, {"aud", `"` + testAudience + `"`},
		{"exp", seconds(instant.Add(time.Minute))}, {"iat", seconds(instant)}, {"jti", `"jti-1"`},
		{"client_id", `"demo-client"`}, {"scope", `"trade accounts:read"`}, {"accounts", `["1001"]`},
		{"grant", `"grant-1"`}, {"epoch", `7`}, {"rights", `9`},
	}
	for change := range slices.Chunk(changes, 2) {
		at := slices.IndexFunc(members, func(m [2]string) bool { return m[0] == change[0] })
		if at < 0 {
			members = append(members, [2]string{})
			at = len(members) - 1
		}
		members[at] = [2]string(change)
	}
	var b strings.Builder
	for _, m := range members {
		if m[1] != "" {
			b.WriteString(`,"` + m[0] + `":` + m[1])
		}
	}
	return "{" + b.String()[1:] + "}"
}

// also adds a member as it is, be there one of that name or not.
func also(payload, member string) string { return payload[:len(payload)-1] + "," + member + "}" }

func TestDecodeClaimsRefuses(t *testing.T) {
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + "1" + strings.Repeat(end, n) }
	for name, tc := range map[string]struct {
		payload string
		want    Reason
	}{
		"exp as a string":           {payload("exp", `"1795348800"`), ReasonClaim},
		"exp missing":               {payload("exp", ``), ReasonClaim},
		"exp null":                  {payload("exp", `null`), ReasonClaim},
		"exp true":                  {payload("exp", `true`), ReasonClaim},
		"exp negative":              {payload("exp", `-1`), ReasonClaim},
		"exp huge":                  {payload("exp", `253402300800`), ReasonClaim},
		"exp beyond 64 bits":        {payload("exp", `18446744073709551616`), ReasonClaim},
		"exp beyond a float":        {payload("exp", `1e400`), ReasonClaim},
		"exp NaN":                   {payload("exp", `NaN`), ReasonMalformed},
		"exp Infinity":              {payload("exp", `Infinity`), ReasonMalformed},
		"exp hexadecimal":           {payload("exp", `0x7fffffff`), ReasonMalformed},
		"exp with leading zero":     {payload("exp", `01795348800`), ReasonMalformed},
		"exp with plus sign":        {payload("exp", `+1795348800`), ReasonMalformed},
		"exp in an array":           {payload("exp", `[1795348800]`), ReasonClaim},
		"iat missing":               {payload("iat", ``), ReasonClaim},
		"iat as a string":           {payload("iat", `"1"`), ReasonClaim},
		"nbf as a string":           {payload("nbf", `"1"`), ReasonClaim},
		"nbf null":                  {payload("nbf", `null`), ReasonClaim},
		"iss missing":               {payload("iss", ``), ReasonClaim},
		"iss empty":                 {payload("iss", `""`), ReasonClaim},
		"iss array":                 {payload("iss", `["`+testIssuer+`"]`), ReasonClaim},
		"sub missing":               {payload("sub", ``), ReasonClaim},
		"sub empty":                 {payload("sub", `""`), ReasonClaim},
		"sub number":                {payload("sub", `1`), ReasonClaim},
		"sub null":                  {payload("sub", `null`), ReasonClaim},
		"sub with embedded NUL":     {payload("sub", `"alice\u0000.evil"`), ReasonClaim},
		"sub with CRLF":             {payload("sub", `"alice\r\nX-Admin: 1"`), ReasonClaim},
		"sub with raw line end":     {payload("sub", "\"alice\nbob\""), ReasonMalformed},
		"aud missing":               {payload("aud", ``), ReasonClaim},
		"aud empty":                 {payload("aud", `[]`), ReasonClaim},
		"aud of an empty string":    {payload("aud", `[""]`), ReasonClaim},
		"aud object":                {payload("aud", `{"a":1}`), ReasonClaim},
		"aud number":                {payload("aud", `1`), ReasonClaim},
		"aud of mixed types":        {payload("aud", `["`+testAudience+`",1]`), ReasonClaim},
		"aud nested":                {payload("aud", `[["`+testAudience+`"]]`), ReasonClaim},
		"jti missing":               {payload("jti", ``), ReasonClaim},
		"client_id missing":         {payload("client_id", ``), ReasonClaim},
		"grant missing":             {payload("grant", ``), ReasonClaim},
		"scope array":               {payload("scope", `["trade"]`), ReasonClaim},
		"scope empty":               {payload("scope", `""`), ReasonClaim},
		"scope with two blanks":     {payload("scope", `"a  b"`), ReasonClaim},
		"scope with a tab":          {payload("scope", `"a\tb"`), ReasonClaim},
		"scope with a quote":        {payload("scope", `"a\"b"`), ReasonClaim},
		"scope with a backslash":    {payload("scope", `"a\\b"`), ReasonClaim},
		"scope not ASCII":           {payload("scope", `"ä"`), ReasonClaim},
		"accounts as a string":      {payload("accounts", `"1001"`), ReasonClaim},
		"accounts of numbers":       {payload("accounts", `[1001]`), ReasonClaim},
		"accounts null":             {payload("accounts", `null`), ReasonClaim},
		"epoch fraction":            {payload("epoch", `7.5`), ReasonClaim},
		"epoch exponent":            {payload("epoch", `7e0`), ReasonClaim},
		"epoch negative":            {payload("epoch", `-1`), ReasonClaim},
		"epoch beyond 63 bits":      {payload("epoch", `9223372036854775808`), ReasonClaim},
		"epoch as a string":         {payload("epoch", `"7"`), ReasonClaim},
		"rights null":               {payload("rights", `null`), ReasonClaim},
		"cnf":                       {payload("cnf", `{}`), ReasonConfirmation},
		"cnf in upper case":         {payload("CNF", `{}`), ReasonMalformed},
		"Exp beside exp":            {also(payload(), `"Exp":9999999999`), ReasonMalformed},
		"Exp alone":                 {also(payload("exp", ``), `"Exp":1795348800`), ReasonMalformed},
		"long s in sub":             {also(payload(), `"ſub":"mallory"`), ReasonMalformed},
		"long s, escaped":           {also(payload(), `"\u017fub":"mallory"`), ReasonMalformed},
		"sub twice":                 {also(payload(), `"sub":"mallory"`), ReasonMalformed},
		"sub twice, equal":          {also(payload(), `"sub":"alice"`), ReasonMalformed},
		"sub twice, escaped":        {also(payload(), `"\u0073ub":"mallory"`), ReasonMalformed},
		"unknown twice":             {also(payload(), `"x":1,"x":2`), ReasonMalformed},
		"twice deep inside":         {also(payload(), `"x":[{"y":1,"y":2}]`), ReasonMalformed},
		"lone high surrogate":       {payload("sub", `"\ud800"`), ReasonMalformed},
		"lone low surrogate":        {payload("sub", `"\udc00"`), ReasonMalformed},
		"surrogates reversed":       {payload("sub", `"\udc00\ud800"`), ReasonMalformed},
		"lone surrogate in a name":  {also(payload(), `"\ud800":1`), ReasonMalformed},
		"invalid UTF-8":             {payload("sub", "\"\xff\""), ReasonMalformed},
		"overlong UTF-8":            {payload("sub", "\"\xc0\x80\""), ReasonMalformed},
		"nested too deep":           {also(payload(), `"x":`+deep("[", "]", maxJSONDepth)), ReasonMalformed},
		"nesting bomb of arrays":    {also(payload(), `"x":`+deep("[", "]", 100000)), ReasonMalformed},
		"nesting bomb of objects":   {also(payload(), `"x":`+deep(`{"a":`, "}", 100000)), ReasonMalformed},
		"nesting bomb never closed": {`{"x":` + strings.Repeat("[", 1<<20), ReasonMalformed},
		"bomb in a known member":    {payload("aud", deep("[", "]", 100000)), ReasonClaim},
		"empty":                     {``, ReasonMalformed},
		"blank":                     {` `, ReasonMalformed},
		"null":                      {`null`, ReasonMalformed},
		"array":                     {`[` + payload() + `]`, ReasonMalformed},
		"string":                    {`"` + testIssuer + `"`, ReasonMalformed},
		"two objects":               {payload() + payload(), ReasonMalformed},
		"garbage behind":            {payload() + `x`, ReasonMalformed},
		"NUL behind":                {payload() + "\x00", ReasonMalformed},
		"truncated":                 {payload()[:len(payload())-1], ReasonMalformed},
		"truncated in a value":      {`{"iss":"htt`, ReasonMalformed},
		"truncated in an array":     {`{"aud":["a"`, ReasonMalformed},
		"trailing comma":            {also(payload(), ``), ReasonMalformed},
		"comment":                   {payload() + `/* */`, ReasonMalformed},
		"single quotes":             {strings.ReplaceAll(payload(), `"`, `'`), ReasonMalformed},
		"byte order mark":           {"\ufeff" + payload(), ReasonMalformed},
		"empty object":              {`{}`, ReasonClaim},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeClaims([]byte(tc.payload))
			if reason := reasonOf(t, err); reason != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if !reflect.DeepEqual(got, Claims{}) {
				t.Errorf("refused, but %+v", got)
			}
		})
	}
}

func TestDecodeClaimsAccepts(t *testing.T) {
	for name, tc := range map[string]struct {
		payload string
		holds   func(Claims) bool
	}{
		"float exp":         {payload("exp", "1795348860.75"), func(c Claims) bool { return c.Expires.Equal(time.Unix(1795348860, 75e7)) }},
		"exponent exp":      {payload("exp", "1.79534886e9"), func(c Claims) bool { return c.Expires.Unix() == 1795348860 }},
		"aud string":        {payload(), func(c Claims) bool { return slices.Equal(c.Audience, []string{testAudience}) }},
		"aud array":         {payload("aud", `["a","b"]`), func(c Claims) bool { return slices.Equal(c.Audience, []string{"a", "b"}) }},
		"no nbf":            {payload(), func(c Claims) bool { return c.NotBefore.IsZero() }},
		"nbf of 1970":       {payload("nbf", "0"), func(c Claims) bool { return !c.NotBefore.IsZero() }},
		"no scope":          {payload("scope", ``), func(c Claims) bool { return c.Scopes == nil }},
		"scopes in order":   {payload("scope", `"b a:c/d"`), func(c Claims) bool { return slices.Equal(c.Scopes, []string{"b", "a:c/d"}) }},
		"no accounts":       {payload("accounts", ``), func(c Claims) bool { return c.Accounts == nil }},
		"empty accounts":    {payload("accounts", `[]`), func(c Claims) bool { return len(c.Accounts) == 0 }},
		"no epoch":          {payload("epoch", ``, "rights", ``), func(c Claims) bool { return c.Epoch == 0 && c.Rights == 0 }},
		"epoch beyond 2^53": {payload("epoch", `9007199254740993`), func(c Claims) bool { return c.Epoch == 9007199254740993 }},
		"sub not ASCII":     {payload("sub", `"Åsa \ud83d\ude00"`), func(c Claims) bool { return c.Subject == "Åsa 😀" }},
		"escaped name":      {payload("sub", ``, `\u0073ub`, `"alice"`), func(c Claims) bool { return c.Subject == "alice" }},
		"unknown members":   {payload("x", `{"a":[[[[[1]]]]],"iss":"deep inside"}`), func(c Claims) bool { return c.Issuer == testIssuer }},
		"white space":       {" \t\r\n" + payload() + " \n", func(c Claims) bool { return c.ID == "jti-1" }},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeClaims([]byte(tc.payload))
			if err != nil || !tc.holds(got) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestEncodedClaims(t *testing.T) {
	claims := goodClaims()
	got, err := claims.encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"iss":"https://id.example.test","sub":"alice","aud":"https://api.example.test",` +
		`"exp":` + seconds(claims.Expires) + `,"iat":` + seconds(claims.IssuedAt) + `,` +
		`"jti":"jti-1","client_id":"demo-client","scope":"trade accounts:read",` +
		`"accounts":["1001","1002"],"grant":"grant-1","epoch":7,"rights":9}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	claims.Audience, claims.Scopes, claims.Accounts = []string{"a", "b"}, nil, nil
	claims.NotBefore = instant
	got, err = claims.encode()
	if err != nil || !strings.Contains(string(got), `"aud":["a","b"]`) || !strings.Contains(string(got), `"nbf":`+seconds(instant)) ||
		strings.Contains(string(got), "scope") || strings.Contains(string(got), "accounts") {
		t.Errorf("%s, %v", got, err)
	}
}

// Whoever reads an accepted payload leniently reads the same, and so do we when
// we write it again.
func FuzzClaims(f *testing.F) {
	f.Add(payload())
	f.Add(payload("aud", `["a","b"]`, "nbf", "0", "exp", "1.5e9"))
	f.Add(also(payload(), `"Exp":1`))
	f.Add(also(payload(), `"ſub":"x"`))
	f.Add(also(payload(), `"x":{"y":[1,{"z":null}]}`))
	f.Add(payload("sub", `"\ud83d\ude00"`))
	f.Fuzz(func(t *testing.T, payload string) {
		claims, err := decodeClaims([]byte(payload))
		if err != nil {
			reasonOf(t, err)
			return
		}
		var lenient struct {
			Sub      string `json:"sub"`
			ClientID string `json:"client_id"`
			Grant    string `json:"grant"`
			Scope    string `json:"scope"`
			Epoch    int64  `json:"epoch"`
		}
		if err := stdjson.Unmarshal([]byte(payload), &lenient); err != nil {
			t.Fatalf("%q: the standard library refuses it: %v", payload, err)
		}
		if lenient.Sub != claims.Subject || lenient.ClientID != claims.ClientID || lenient.Grant != claims.Grant ||
			lenient.Epoch != claims.Epoch || lenient.Scope != strings.Join(claims.Scopes, " ") {
			t.Errorf("%q is read as %+v, and leniently as %+v", payload, claims, lenient)
		}
		again, err := claims.encode()
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := decodeClaims(again)
		if err != nil {
			t.Fatalf("%q: %v", again, err)
		}
		decoded.Expires, decoded.IssuedAt, decoded.NotBefore = claims.Expires, claims.IssuedAt, claims.NotBefore // may have had fractions
		if len(claims.Accounts) == 0 {
			claims.Accounts, decoded.Accounts = nil, nil
		}
		if !reflect.DeepEqual(decoded, claims) {
			t.Errorf("%+v became %+v", claims, decoded)
		}
	})
}
