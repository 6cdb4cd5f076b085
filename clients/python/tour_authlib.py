"""Authlib: a session that renews by itself, by client_credentials and by refresh token."""

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from joserfc import jwk, jwt

from tour import (
    ACCOUNTS, API, CLIENT_ID, CLIENT_SECRET, INTROSPECT, ISSUER, REFRESH_TOKEN, REVOKE, TOKEN,
    expired, refused, requests, status, step,
)

own = OAuth2Session(CLIENT_ID, CLIENT_SECRET, scope="read:accounts", token_endpoint=TOKEN,
                    grant_type="client_credentials", leeway=0)
first = own.fetch_token()
assert first["scope"] == "read:accounts" and first["expires_in"] == 2, first
step("get")

metadata = AuthorizationServerMetadata(
    requests.get(get_well_known_url(ISSUER, external=True), timeout=20).json())
assert metadata.issuer == ISSUER and metadata.token_endpoint == TOKEN
step("discover")

keys = jwk.KeySet.import_key_set(requests.get(metadata.jwks_uri, timeout=20).json())
known = jwt.decode(first["access_token"], keys, algorithms=["ES256"])
assert known.header["typ"] == "at+jwt", known.header
jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": API}, exp={"essential": True},
    client_id={"essential": True, "value": CLIENT_ID},
).validate(known.claims)
step("validate")

assert own.get(ACCOUNTS).status_code == 200
assert own.token["access_token"] == first["access_token"]
step("call")

expired(first)
assert own.get(ACCOUNTS).status_code == 200
assert own.token["access_token"] != first["access_token"]
step("expire")

written = []
session = OAuth2Session(CLIENT_ID, CLIENT_SECRET, token_endpoint=TOKEN, leeway=0,
                        token={"refresh_token": REFRESH_TOKEN, "access_token": "none", "expires_at": 1},
                        update_token=lambda token, **_: written.append(token))
assert session.get(ACCOUNTS).status_code == 200
assert session.token["refresh_token"] != REFRESH_TOKEN and written == [session.token]
again = session.token
expired(again)
assert session.get(ACCOUNTS).status_code == 200
assert session.token["refresh_token"] != again["refresh_token"] and len(written) == 2
step("renew")

answer = session.introspect_token(INTROSPECT, token=session.token["access_token"], token_type_hint="access_token").json()
assert answer["active"] and answer["client_id"] == CLIENT_ID, answer
step("introspect")

access, refresh = session.token["access_token"], session.token["refresh_token"]
assert session.revoke_token(REVOKE, token=refresh, token_type_hint="refresh_token").status_code == 200
assert status(access) == 401
assert session.introspect_token(INTROSPECT, token=access).json() == {"active": False}
assert own.revoke_token(REVOKE, token=own.token["access_token"]).status_code == 200
assert status(own.token["access_token"]) == 401
step("revoke")

refused(lambda: session.refresh_token(TOKEN, refresh_token=refresh), OAuthError, "invalid_grant")
refused(lambda: own.fetch_token(scope="read:nothing"), OAuthError, "invalid_scope")
wrong = OAuth2Session(CLIENT_ID, "wrong", token_endpoint=TOKEN, grant_type="client_credentials")
refused(wrong.fetch_token, OAuthError, "invalid_client")
step("errors")
