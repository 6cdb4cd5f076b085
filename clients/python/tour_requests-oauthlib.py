"""requests-oauthlib: renews by refresh token; a token of the client's own is asked for again."""

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error, TokenExpiredError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from tour import (
    ACCOUNTS, AUTHORIZE, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, REVOKE, TOKEN,
    authorize, expired, refused, requests, status, step,
)

credentials = HTTPBasicAuth(CLIENT_ID, CLIENT_SECRET)
own = OAuth2Session(client=BackendApplicationClient(CLIENT_ID, scope=["read:accounts"]))
first = own.fetch_token(TOKEN, auth=credentials)
assert first["scope"] == ["read:accounts"] and first["expires_in"] == 6, first
in_body = OAuth2Session(client=BackendApplicationClient(CLIENT_ID, scope=["read:accounts"]))
in_body.fetch_token(TOKEN, client_secret=CLIENT_SECRET, include_client_id=True)
step("get")

assert own.get(ACCOUNTS).status_code == 200
step("call")

expired(first)
try:
    own.get(ACCOUNTS)
    raise AssertionError("the library did not see that the token expired")
except TokenExpiredError:
    own.fetch_token(TOKEN, auth=credentials)
assert own.get(ACCOUNTS).status_code == 200
step("expire")

written = []
session = OAuth2Session(CLIENT_ID, scope=["read:accounts"], redirect_uri=REDIRECT_URI, pkce="S256",
                        auto_refresh_url=TOKEN, token_updater=written.append,
                        auto_refresh_kwargs={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
address, _ = session.authorization_url(AUTHORIZE)
session.fetch_token(TOKEN, authorization_response=authorize(address), auth=credentials)
assert session.get(ACCOUNTS).status_code == 200
step("code")

again = session.token
expired(again)
assert session.get(ACCOUNTS).status_code == 200
assert session.token["refresh_token"] != again["refresh_token"] and len(written) == 1
step("renew")


def revoke(client, token):
    """The library prepares the request of RFC 7009; requests sends it."""
    url, headers, body = client.prepare_token_revocation_request(REVOKE, token, token_type_hint=None)
    answer = requests.post(url, headers=headers, data=body, auth=credentials, timeout=20)
    assert answer.status_code == 200, answer.text


access, refresh = session.token["access_token"], session.token["refresh_token"]
revoke(session._client, refresh)
assert status(access) == 401
revoke(own._client, own.token["access_token"])
assert status(own.token["access_token"]) == 401
step("revoke")

refused(lambda: session.refresh_token(TOKEN, refresh_token=refresh), OAuth2Error, "invalid_grant")
own.scope = own._client.scope = ["read:nothing"]
refused(lambda: own.fetch_token(TOKEN, auth=credentials), OAuth2Error, "invalid_scope")
refused(lambda: own.fetch_token(TOKEN, auth=HTTPBasicAuth(CLIENT_ID, "wrong")), OAuth2Error, "invalid_client")
step("errors")
