"""The command line: `serve` an account, and small clients for a running one."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from pipedrive_simulator import __version__
from pipedrive_simulator.client import ControlCallError, ControlClient

EXIT_USAGE = 64
EXIT_UNAVAILABLE = 69


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit code (0 done, 64 usage, 69 simulator does not run)."""
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        result: int = args.run(args)
        sys.stdout.flush()
    except ControlCallError as error:
        print(f"pipedrive-simulator: {error}", file=sys.stderr)
        return EXIT_UNAVAILABLE
    except BrokenPipeError:
        # The reader has enough. Python flushes once more at exit, and would report the same error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result


def build_parser() -> argparse.ArgumentParser:
    """Describe all commands."""
    parser = argparse.ArgumentParser(
        prog="pipedrive-simulator",
        description="A simulated Pipedrive account with the REST API, for demos and tests.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    _serve_options(commands.add_parser(
        "serve", help="serve an account until SIGTERM or SIGINT",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    ))  # fmt: skip
    advance = _client_command(
        commands, "advance", _advance, "change deals and move the clock forward"
    )
    advance.add_argument("--deals", type=int, default=200, help="deals that change (default: 200)")
    advance.add_argument(
        "--hours", type=float, default=6.0, help="hours to move the clock forward (default: 6)"
    )
    faults = _client_command(commands, "faults", _faults, "list, add or clear faults")
    faults.add_argument("--add", metavar="KIND", help="add a rule of this kind")
    faults.add_argument("--operation", default="*", help="operation id, with * (default: all)")
    faults.add_argument("--path", default="*", help="path as called, with * (default: all)")
    faults.add_argument("--count", type=int, help="how often it fires (default: without limit)")
    faults.add_argument("--probability", type=float, default=1.0, help="0 to 1 (default: 1)")
    faults.add_argument(
        "--every", type=int, default=1, help="fire on each n-th matching call (default: 1)"
    )
    faults.add_argument("--fault-seed", type=int, default=0, help="for --probability (default: 0)")
    faults.add_argument("--clear", action="store_true", help="remove all rules")
    truth = _client_command(
        commands, "truth", _truth, "print the account's records as JSON lines, past the API"
    )
    truth.add_argument("entity", help="counts, deals, stage_intervals, ...")
    stats = _client_command(commands, "stats", _stats, "print the API calls and their tokens")
    stats.add_argument("--reset", action="store_true", help="start counting anew")
    return parser


def _serve_options(serve: argparse.ArgumentParser) -> None:
    serve.set_defaults(run=_serve)
    serve.add_argument(
        "--host", default="127.0.0.1", help="a loopback address (others are refused)"
    )
    serve.add_argument("--port", type=int, default=0, help="0 takes a free one")
    serve.add_argument("--ready-file", type=Path, help="write url, port, pid, token when listening")
    serve.add_argument(
        "--state-file", type=Path, help="journal file; a restart with it gives the same account"
    )
    account = serve.add_argument_group("account")
    account.add_argument(
        "--account",
        choices=("generated", "csv", "endless"),
        default="generated",
        help="above 100,000 deals, generated becomes endless: deals are computed from their ids",
    )
    account.add_argument("--deals", type=int, default=10_000, help="0 to 1,000,000")
    account.add_argument(
        "--seed", type=int, default=42, help="the same seed gives the same account"
    )
    account.add_argument("--csv-dir", help="folder with the four files of a csv account")
    account.add_argument(
        "--now", help="start time of the account's clock, e.g. 2026-01-31T12:00:00Z"
    )
    account.add_argument(
        "--freeze-clock", action="store_true", help="stop the clock; only control routes move it"
    )
    account.add_argument("--company", default="demo", help="company domain")
    api = serve.add_argument_group("API")
    api.add_argument("--token", default="demo-token", help="accepted in x-api-token")
    api.add_argument("--bearer", default="demo-bearer", help="accepted as OAuth bearer token")
    api.add_argument(
        "--plan",
        choices=("lite", "growth", "premium", "ultimate"),
        help="limits of a plan, for the account's active users; default: no limits",
    )
    api.add_argument("--burst", type=int, help="calls per rolling two seconds")
    api.add_argument("--daily-tokens", type=int, help="tokens per day of the account's clock")
    api.add_argument("--latency-ms", type=float, default=0.0, help="delay of every API response")
    api.add_argument(
        "--strict",
        dest="strict",
        action="store_true",
        default=True,
        help="refuse unknown query parameters",
    )
    api.add_argument(
        "--lenient", dest="strict", action="store_false", help="ignore unknown query parameters"
    )
    api.add_argument(
        "--removed-status",
        type=int,
        choices=(404, 410),
        default=410,
        help="HTTP status of removed v1 paths",
    )
    api.add_argument("--log-requests", action="store_true", help="one line per API call")


def _client_command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.add_argument("--url", required=True, help="base URL of the running simulator")
    command.set_defaults(run=run)
    return command


def _serve(args: argparse.Namespace) -> int:
    # Imported here, so that the client commands start fast.
    from pipedrive_simulator.account.journal import locked
    from pipedrive_simulator.account.state import EditError
    from pipedrive_simulator.csvfiles.load import CsvError
    from pipedrive_simulator.opening import Plan, PlanError, open_account
    from pipedrive_simulator.server.api import Api, ApiSettings
    from pipedrive_simulator.server.app import App
    from pipedrive_simulator.server.oauth import OAuthSettings
    from pipedrive_simulator.server.run import HostError, bind, serve, url_of

    plan = Plan(
        args.account, args.deals, args.seed, args.csv_dir, args.now, args.company,
        args.freeze_clock,
    )  # fmt: skip
    listener = None
    lock = contextlib.ExitStack()
    try:
        listener = bind(args.host, args.port)
        lock.enter_context(locked(args.state_file))
        account = open_account(plan, args.state_file)
    except (PlanError, CsvError, EditError, HostError, ValueError, OSError) as error:
        print(f"pipedrive-simulator: {error}", file=sys.stderr)
        if listener is not None:
            listener.close()
        lock.close()
        return EXIT_USAGE
    # These objects exist until the process ends: exclude them from garbage collection.
    gc.freeze()
    settings = ApiSettings(
        args.token, OAuthSettings(access_token=args.bearer), args.strict, args.removed_status
    )
    api = Api(account, settings, _limits(args, account))
    log = (lambda line: print(line, file=sys.stderr, flush=True)) if args.log_requests else None
    url = url_of(listener)
    ready = {
        "url": url, "port": listener.getsockname()[1], "pid": os.getpid(), "token": args.token,
        "company_domain": account.company,
    }  # fmt: skip
    print(f"serving {len(account.deals):,} deals at {url} (token {args.token})", flush=True)
    with lock:
        serve(App(api, latency=args.latency_ms / 1000, log=log), listener, ready, args.ready_file)
    return 0


def _limits(args: argparse.Namespace, account: Any) -> Any:
    import dataclasses

    from pipedrive_simulator.server.limits import Limits, plan_limits

    seats = sum(1 for user in account.users.records.values() if user.active_flag)
    limits = plan_limits(args.plan, seats) if args.plan else Limits()
    given = {"burst": args.burst, "daily_tokens": args.daily_tokens}
    return dataclasses.replace(limits, **{k: v for k, v in given.items() if v is not None})


def _advance(args: argparse.Namespace) -> int:
    done = ControlClient(args.url).call(
        "POST", "advance", {"deals": args.deals, "hours": args.hours}
    )
    print(f"{done['deals']} deals changed between {done['from']} and {done['to']}:")
    for kind, ids in done["deal_ids"].items():
        print(f"  {kind.replace('_', ' '):<18} {len(ids):>5}")
    print(f"  activities: {done['activities_done']} done, {done['activities_added']} planned")
    return 0


def _faults(args: argparse.Namespace) -> int:
    client = ControlClient(args.url)
    if args.clear:
        client.call("DELETE", "faults")
    if args.add:
        rule = {
            "kind": args.add, "operation": args.operation, "path": args.path, "count": args.count,
            "probability": args.probability, "every": args.every, "seed": args.fault_seed,
        }  # fmt: skip
        client.call("POST", "faults", rule)
    print(json.dumps(client.call("GET", "faults"), indent=1))
    return 0


def _truth(args: argparse.Namespace) -> int:
    for record in ControlClient(args.url).truth(args.entity):
        print(json.dumps(record, ensure_ascii=False))
    return 0


def _stats(args: argparse.Namespace) -> int:
    client = ControlClient(args.url)
    print(json.dumps(client.call("GET", "stats"), indent=1))
    if args.reset:
        client.call("POST", "stats/reset")
    return 0
