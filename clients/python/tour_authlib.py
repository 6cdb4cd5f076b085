"""Authlib: a session that renews by itself, by client_credentials and by refresh token."""

from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from joserfc import jwk, jwt

from tour import (
    ACCOUNTS, API, AUTHORIZE, CLIENT_ID, CLIENT_SECRET, INTROSPECT, ISSUER, PUBLIC_CLIENT_ID, REDIRECT_URI, REVOKE, TOKEN,
    authorize, expired, refused, requests, status, step,
)

own = OAuth2Session(CLIENT_ID, CLIENT_SECRET, scope="read:accounts", token_endpoint=TOKEN,
                    grant_type="client_credentials", leeway=0)
first = own.fetch_token()
assert first["scope"] == "read:accounts" and first["expires_in"] == 6, first
step("get")

metadata = AuthorizationServerMetadata(
    requests.get(get_well_known_url(ISSUER, external=True), timeout=20).json())
metadata.validate()
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


def allowed(client, secret, **more):
    """A session for which a person gave access."""
    session = OAuth2Session(client, secret, scope="read:accounts", redirect_uri=REDIRECT_URI, token_endpoint=TOKEN,
                            code_challenge_method="S256", leeway=0, **more)
    verifier = generate_token(48)
    address, state = session.create_authorization_url(AUTHORIZE, code_verifier=verifier)
    session.fetch_token(authorization_response=authorize(address), state=state, code_verifier=verifier)
    assert session.get(ACCOUNTS).status_code == 200
    return session


nomad = allowed(PUBLIC_CLIENT_ID, None, token_endpoint_auth_method="none")
session = allowed(CLIENT_ID, CLIENT_SECRET, update_token=lambda token, **_: written.append(token))
step("code")

for each in nomad, session:
    again = each.token
    expired(again)
    assert each.get(ACCOUNTS).status_code == 200
    assert each.token["refresh_token"] != again["refresh_token"]
assert written == [session.token]
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
