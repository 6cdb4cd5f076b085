#!/usr/bin/env bash
set -u

token='' renew_at=0 stop=0
trap stop=1 INT TERM
member() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; } # or jq
# as_client PATH FIELD=VALUE… posts a form; the secret stays off the command line.
as_client() {
  local url=$ISSUER$1 form=() field
  for field in "${@:2}"; do form+=(--data-urlencode "$field"); done
  curl -sf -m 30 -K <(printf 'user = "%s:%s"' "$CLIENT_ID" "$CLIENT_SECRET") "${form[@]}" "$url"
}

renew() {
  local answer
  answer=$(as_client /oauth2/token grant_type=client_credentials scope=read:accounts) || return
  token=$(member access_token <<<"$answer")
  renew_at=$((SECONDS + $(member expires_in <<<"$answer") - 10)) # before it ends
}

# call PATH writes the answer to answer.json; it sets status, and how long the server asks to wait.
call() {
  status=000 asked=''
  ((SECONDS < renew_at)) || renew || return
  read -r status asked < <(curl -s -m 30 -o answer.json -w '%{http_code} %header{retry-after}\n' \
    -H @<(printf 'Authorization: Bearer %s' "$token") "$API$1")
}

failures=0
until ((stop)); do
  call /accounts # your work
  if [ "$status" = 401 ]; then # revoked, or your rights changed: renew once
    renew_at=0
    call /accounts
  fi
  pause=1
  if [ "$status" = 200 ]; then
    failures=0
  else # 503, 429, no network: wait as long as the server asks, or ever longer
    echo "status $status" >&2
    pause=${asked:-$((failures < 6 ? 1 << failures++ : 60))}
  fi
  sleep "$pause" &
  wait $! # which a signal ends at once
done
[ -z "$token" ] || as_client /oauth2/revoke "token=$token"
