import os
import signal
import sys
import threading

from authlib.integrations.requests_client import OAuth2Session

ISSUER, API = os.environ["ISSUER"], os.environ["API"]
stop = threading.Event()
for number in signal.SIGINT, signal.SIGTERM:
    signal.signal(number, lambda *_: stop.set())

# Renews by itself before a call, if less than 10 seconds are left.
session = OAuth2Session(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"], scope="read:accounts",
                        grant_type="client_credentials", token_endpoint=ISSUER + "/oauth2/token",
                        leeway=10, default_timeout=30)


def call(path):
    if not session.token:
        session.fetch_token()
    response = session.get(API + path)
    if response.status_code == 401:  # revoked, or your rights changed: renew once
        session.fetch_token()
        response = session.get(API + path)
    response.raise_for_status()
    return response.json()


failures = 0
while not stop.is_set():
    pause = 1
    try:
        call("/accounts")  # your work
        failures = 0
    except Exception as error:  # 503, 429, no network: wait as long as the server asks, or ever longer
        print(error, file=sys.stderr)
        response = getattr(error, "response", None)
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        pause = int(asked) if asked.isdigit() else min(2**failures, 60)
        failures += 1
    stop.wait(pause)
if session.token:
    session.revoke_token(ISSUER + "/oauth2/revoke", token=session.token["access_token"]).raise_for_status()
