"""The floor of a tap: walk the list of deals with requests, decode with msgspec, write each record.

No schema, no state, no limits, no retries: less cannot be done in this language with these two.
`--read-only` leaves out the writing; `--pages N` stops after so many pages.
"""

import argparse
import sys

import msgspec
import requests

FIELDS = (
    "next_activity_id,last_activity_id,first_won_time,products_count,files_count,notes_count,"
    "followers_count,email_messages_count,activities_count,done_activities_count,"
    "undone_activities_count,participants_count,last_incoming_mail_time,last_outgoing_mail_time,"
    "source_lead_id"
)
HEAD = b'{"type":"RECORD","stream":"deals","record":'


def main() -> None:
    """Walk the live and the archived deals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--pages", type=int, default=1_000_000)
    given = parser.parse_args()
    session = requests.Session()
    session.headers["x-api-token"] = given.token
    decode, encode, write = msgspec.json.decode, msgspec.json.encode, sys.stdout.buffer.write
    left = given.pages
    for path in ("/api/v2/deals", "/api/v2/deals/archived"):
        query = {"limit": "500", "sort_by": "update_time", "include_fields": FIELDS}
        query["status"] = "open,won,lost,deleted"
        while left:
            left -= 1
            page = decode(session.get(given.url + path, params=query, timeout=60).content)
            if not given.read_only:
                write(b"".join([b"%b%b}\n" % (HEAD, encode(record)) for record in page["data"]]))
            if not page["additional_data"]["next_cursor"]:
                break
            query["cursor"] = page["additional_data"]["next_cursor"]


main()
