"""What the tours share: who we are, and how they talk to the test (../tour_test.go)."""

import os
import time

import requests

ISSUER, API = os.environ["ISSUER"], os.environ["API"]
CLIENT_ID, CLIENT_SECRET = os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]
PUBLIC_CLIENT_ID, REDIRECT_URI = os.environ["PUBLIC_CLIENT_ID"], os.environ["REDIRECT_URI"]
ACCOUNTS = API + "/accounts"
AUTHORIZE, TOKEN, REVOKE, INTROSPECT = (
    ISSUER + "/oauth2/" + name for name in ("authorize", "token", "revoke", "introspect"))


def step(name):
    """Say that a step of the tour was taken: the test counts them."""
    print("step", name, flush=True)


def status(token):
    """What the API says to a token."""
    return requests.get(ACCOUNTS, headers={"Authorization": "Bearer " + token}, timeout=20).status_code


def expired(token):
    """Wait until the API no longer takes a token, and the library sees that it
    expired, which may be up to a second later."""
    deadline = time.monotonic() + 20
    while status(token["access_token"]) != 401 or time.time() <= token["expires_at"]:
        assert time.monotonic() < deadline, "the token does not expire"
        time.sleep(0.1)


def refused(call, error, code):
    """Check that a call fails with an error of OAuth."""
    try:
        call()
    except error as e:
        assert e.error == code, repr(e)
    else:
        raise AssertionError("let in, where " + code + " was due")


def authorize(address):
    """Have a person open an address, and return where the app gets the answer."""
    print("authorize", address, flush=True)
    return input()
