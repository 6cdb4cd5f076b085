package caddymodule

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/audit"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// variant is a server with one of the two configurations of testdata/settings,
// and what it said.
type variant struct {
	*server
	second bool
	files  map[string]string // as they were written

	client, secret string    // of the client
	issued         issuance  // by the bank's two calls
	seen           echo      // what the API got with that token
	own            tokenSelf // what the client's own token is good for
	late           string    // a code that is redeemed
	redeemable     time.Time // then
	lint, test     string    // the output of policy lint and policy test

	heads chan string // the name of the first socket at which a head of the audit trail arrives
}

// issuance is what the bank's second call answers, beside a token.
type issuance struct {
	Access         string  `json:"access_token"`
	ExpiresIn      float64 `json:"expires_in"`
	RefreshExpires float64 `json:"refresh_token_expires_in"`
}

// tokenSelf is the answer of /token/self.
type tokenSelf struct {
	Environment string
	Accounts    []string
}

const (
	firstSecret  = "the first configuration's secret"
	secondSecret = "the second configuration's secret"
)

var variantHashes = sync.OnceValue(func() [2]string { return [2]string{hashOf(firstSecret), hashOf(secondSecret)} })

// alternatives are written «in the first configuration|in the second».
var alternatives = regexp.MustCompile(`«([^«|»]*)\|([^«|»]*)»`)

// choose is what a text with alternatives says in one of the configurations.
func choose(text string, second bool) string {
	if second {
		return alternatives.ReplaceAllString(text, "$2")
	}
	return alternatives.ReplaceAllString(text, "$1")
}

// startVariant runs a server and looks at everything that several proofs need.
func startVariant(t *testing.T, second bool) *variant {
	v := &variant{server: newServer(t), second: second, files: map[string]string{}, heads: make(chan string, 1)}
	v.client, v.secret = choose("«bot|robot»", second), choose("«"+firstSecret+"|"+secondSecret+"»", second)
	hashes := variantHashes()
	values := strings.NewReplacer(
		"{$DIR}", v.dir, "{$BACKEND}", v.backend.address(), "{$API_PORT}", port(v.api), "{$ISSUER_PORT}", port(v.issuer),
		"{$FIRST_HASH}", hashes[0], "{$SECOND_HASH}", hashes[1])
	for _, file := range []string{"Caddyfile", "rights.yaml", "narrow.yaml", "tests.yaml"} {
		v.files[file] = values.Replace(choose(readText(t, filepath.Join("testdata/settings", file)), second))
	}
	v.files["Caddyfile"] = string(caddyfile.Format([]byte(v.files["Caddyfile"])))
	v.files["rights.yaml"] += v.files["tests.yaml"]
	for file, text := range v.files {
		v.write(file, text)
	}
	for _, name := range []string{"first", "second"} {
		v.write(name+".pem", p256PEM(t))
		v.receive(name + ".syslog")
	}
	v.config = v.files["Caddyfile"]
	v.start()
	v.look()
	return v
}

// look does what several proofs need.
func (v *variant) look() {
	v.late = v.code(v.secret, "base")
	v.redeemable = time.Now().Add(3100 * time.Millisecond)

	v.issued = v.redeem(v.code(v.secret, "base broad"))
	v.answer(v.call("GET", "/echo", v.issued.Access), 200, &v.seen)

	var own tokens
	v.answer(v.ask("/oauth2/token", "grant_type=client_credentials&scope=base", v.secret), 200, &own)
	request := v.request("GET", v.issuer+"/token/self", nil)
	request.Header.Set("Authorization", "Bearer "+own.Access)
	v.answer(request, 200, &v.own)

	v.test, _, _ = v.run("", "bearer", "policy", "test", "rights.yaml", "tests.yaml")
	v.lint, _, _ = v.run("", "bearer", "policy", "lint", "rights.yaml")
}

// redeemLate is the status of the answer to a code that is redeemed 3.1 s after it
// was issued.
func (v *variant) redeemLate() string {
	v.eventually("a short code has expired", func() bool { return time.Now().After(v.redeemable) })
	return fmt.Sprint(v.answerStatus(v.ask("/api/v1/s2s-oauth2/token", "grant_type=authorization_code&code="+v.late, v.secret)))
}

// codeRequest asks for a code, the first of the bank's two calls.
func (v *variant) codeRequest(serviceSecret, scopes string) *http.Request {
	request := v.request("GET", v.issuer+"/api/v1/s2s-oauth2/code", nil)
	for name, value := range map[string]string{
		"X-Service-Account-ID": choose("«treasury|desk»", v.second), "X-Service-Account-Secret": serviceSecret,
		"X-Client-ID": v.client, "X-Client-Secret": v.secret, "scope": scopes,
	} {
		request.Header.Set(name, value)
	}
	return request
}

func (v *variant) code(serviceSecret, scopes string) string {
	var answer struct{ Code string }
	v.answer(v.codeRequest(serviceSecret, scopes), 200, &answer)
	return answer.Code
}

func (v *variant) redeem(code string) (got issuance) {
	v.answer(v.ask("/api/v1/s2s-oauth2/token", "grant_type=authorization_code&code="+code, v.secret), 200, &got)
	return got
}

// ask is a POST by the client.
func (v *variant) ask(path, body, secret string) *http.Request {
	request := v.form(path, body)
	request.SetBasicAuth(v.client, secret)
	return request
}

// get is the status of a request to the API, with the token or with none.
func (v *variant) get(path string, token bool) string {
	raw := ""
	if token {
		raw = v.issued.Access
	}
	return strconv.Itoa(v.answerStatus(v.call("GET", path, raw)))
}

// header is a header of the answer to a request without a token.
func (v *variant) header(path, name string) string {
	response, err := http.DefaultClient.Do(v.call("GET", path, ""))
	if err != nil {
		v.t.Fatal(err)
	}
	response.Body.Close()
	return response.Header.Get(name)
}

// identity is what the API was told, with the header that told it.
func (v *variant) identity(what string) string {
	for name, values := range v.seen.Headers {
		if strings.HasPrefix(name, "X-") && strings.HasSuffix(name, "-"+what) {
			return name + ": " + strings.Join(values, ",")
		}
	}
	return ""
}

func (v *variant) environment() string { return choose("«sandbox|production»", v.second) }

// declared is a record of the variant's environment, as a command shows it.
func (v *variant) declared(kind, id string) (r record) {
	v.decode(v.ok("", "bearer", kind, "show", choose(id, v.second), "--json", "--environment", v.environment()), &r)
	return r
}

// failures are the lines of policy test about a request, by the file that they
// are about.
func (v *variant) failures(key string) string {
	var lines []string
	for line := range strings.Lines(v.test) {
		if file, rest, found := strings.Cut(line, ": GET "); found && strings.Contains(rest, "/"+key+": ") {
			file, _, _ = strings.Cut(file, ":")
			lines = append(lines, file+": "+strings.TrimSpace(rest))
		}
	}
	return strings.Join(lines, "\n")
}

// made are the files with this ending in the server's folder.
func (v *variant) made(ending string) string {
	files, err := filepath.Glob(v.path("*" + ending))
	if err != nil {
		v.t.Fatal(err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return strings.Join(files, " ")
}

// receive reads datagrams from a socket until a head of the audit trail is among
// them.
func (v *variant) receive(name string) {
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: v.path(name)})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { socket.Close() })
	go func() {
		message := make([]byte, 64<<10)
		for {
			n, err := socket.Read(message)
			if err != nil {
				return // closed
			}
			_, line, _ := strings.Cut(string(message[:n]), "{")
			heads, _, err := audit.ReadHeads(strings.NewReader("{" + line))
			if err == nil && len(heads) == 1 {
				select {
				case v.heads <- name:
				default: // another was first
				}
				return
			}
		}
	}()
}

// receiver waits for the first head that arrives at a socket.
func (v *variant) receiver() string {
	select {
	case name := <-v.heads:
		return name
	case <-time.After(patience):
		return "none"
	}
}

// keyFile is the PEM file whose key signs in the environment that has one.
func (v *variant) keyFile() string {
	var listed struct{ Keys []shownKey }
	v.decode(v.ok("", "bearer", "key", "list", "--json", "--environment", choose("«production|sandbox»", v.second)), &listed)
	if len(listed.Keys) != 1 {
		return fmt.Sprint(listed.Keys)
	}
	for _, name := range []string{"first.pem", "second.pem"} {
		key, err := token.LoadKeyFile(v.path(name), "")
		if err != nil {
			v.t.Fatal(err)
		}
		if key.ID() == listed.Keys[0].ID {
			return name
		}
	}
	return listed.Keys[0].Source
}

// metadata is a member of what the issuer says of itself.
func (v *variant) metadata(member string) string {
	var said map[string]any
	v.answer(v.request("GET", v.issuer+"/.well-known/oauth-authorization-server", nil), 200, &said)
	return fmt.Sprint(said[member])
}

// inToken is a member of the access token's header (0) or claims (1).
func (v *variant) inToken(part int, member string) string {
	decoded, err := base64.RawURLEncoding.DecodeString(strings.Split(v.issued.Access, ".")[part])
	if err != nil {
		v.t.Fatal(err)
	}
	var said map[string]any
	v.decode(string(decoded), &said)
	return fmt.Sprint(said[member])
}

var heapAlloc = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)

// heap is what Caddy's admin API says of the memory in use after a collection.
func (v *variant) heap() (bytes int64) {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", v.path("admin.sock"))
	}}}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://127.0.0.1/debug/pprof/heap?debug=1&gc=1")
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	profile, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	said := heapAlloc.FindSubmatch(profile)
	if said == nil {
		v.t.Fatalf("no HeapAlloc in %s", profile)
	}
	bytes, _ = strconv.ParseInt(string(said[1]), 10, 64)
	return bytes
}
