#!/usr/bin/env bash
# curl: every call by hand, of the client's secret nothing on a command line.
set -euo pipefail

# member NAME prints a member of the JSON object on standard input.
member() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }
# issuer PATH [FIELD=VALUE…] posts a form as the client; the status follows the answer.
issuer() {
  local path=$1 fields=() field
  shift
  for field in "$@"; do fields+=(--data-urlencode "$field"); done
  curl -sS -w '\n%{http_code}' -K <(printf 'user = "%s:%s"' "$CLIENT_ID" "$CLIENT_SECRET") "${fields[@]}" "$ISSUER$path"
}
# status TOKEN prints what the API says to it.
status() { curl -sS -o /dev/null -w '%{http_code}' -H @<(printf 'Authorization: Bearer %s' "$1") "$API/accounts"; }
# same GOT WANT ends the tour if they differ.
same() { [ "$1" = "$2" ] || { echo "got '$1', want '$2'" >&2; exit 1; }; }
step() { echo "step $1"; }

same "$(curl -sS "$ISSUER/.well-known/oauth-authorization-server" | member token_endpoint)" "$ISSUER/oauth2/token"
step discover

obtain() { issuer /oauth2/token grant_type=client_credentials scope=read:accounts; }
answer=$(obtain)
token=$(member access_token <<<"$answer")
same "$(member scope <<<"$answer") $(member expires_in <<<"$answer")" 'read:accounts 6'
step get

same "$(status "$token")" 200
step call

for ((i = 0; i < 200; i++)); do
  [ "$(status "$token")" = 200 ] || break
  sleep 0.1
done
same "$(status "$token")" 401
token=$(obtain | member access_token)
same "$(status "$token")" 200
step expire

# The pair of RFC 7636, appendix B; make your own. A person opens the address, and
# we read where the app gets the answer.
verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM state=$RANDOM$RANDOM$RANDOM
echo "authorize $ISSUER/oauth2/authorize?response_type=code&client_id=$CLIENT_ID&redirect_uri=$REDIRECT_URI&scope=read:accounts&state=$state&code_challenge=$challenge&code_challenge_method=S256"
read -r back
[[ $back =~ [?\&]state=$state(&|$) && $back =~ [?\&]code=([^\&]+) ]]
answer=$(issuer /oauth2/token grant_type=authorization_code "code=${BASH_REMATCH[1]}" "redirect_uri=$REDIRECT_URI" "code_verifier=$verifier")
first=$(member refresh_token <<<"$answer")
same "$(status "$(member access_token <<<"$answer")")" 200
step code

answer=$(issuer /oauth2/token grant_type=refresh_token "refresh_token=$first")
renewed=$(member access_token <<<"$answer") refresh=$(member refresh_token <<<"$answer")
same "$(status "$renewed")" 200
[ "$refresh" != "$first" ]
step renew

same "$(issuer /oauth2/introspect "token=$renewed" | member active)" true
step introspect

same "$(issuer /oauth2/revoke "token=$refresh" | tail -1)" 200
same "$(status "$renewed")" 401
same "$(issuer /oauth2/introspect "token=$renewed" | member active)" false
same "$(issuer /oauth2/revoke "token=$token" | tail -1)" 200
same "$(status "$token")" 401
step revoke

same "$(issuer /oauth2/token grant_type=refresh_token "refresh_token=$refresh" | member error)" invalid_grant
same "$(issuer /oauth2/token grant_type=client_credentials scope=read:nothing | member error)" invalid_scope
CLIENT_SECRET=wrong
same "$(issuer /oauth2/token grant_type=client_credentials | member error)" invalid_client
step errors
