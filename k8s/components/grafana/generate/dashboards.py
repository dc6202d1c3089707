"""The dashboards. What a run pushed is about that run and stays until the next: no rate()."""

from __future__ import annotations

from panels import PLAIN, ZERO_IS_GOOD, Dashboard, Panel

from pipeboard.outcomes import RUNNING, SUCCESSES

OF = '{pipeline=~"$pipeline"}'
AGE = ((None, "green"), (3600, "orange"), (5400, "red"))
RUN = ((1, "good", "green"), (0, "failed", "red"))
GOOD = (RUNNING, *SUCCESSES)
BREAKER = ((0, "closed", "green"), (1, "trying", "orange"), (2, "open", "red"))
UP = ((1, "up", "green"), (0, "down", "red"))


def m(name: str, **labels: str) -> str:
    """Name a metric of the pipelines looked at; a value may begin with ~ (like), ! (not) or !~."""
    matchers = ['pipeline=~"$pipeline"']
    for label, value in labels.items():
        bare = value.lstrip("~!")
        operator = {"~": "=~", "!": "!=", "!~": "!~"}.get(value.removesuffix(bare), "=")
        matchers.append(f'{label}{operator}"{bare}"')
    return f"pipedrive_etl_{name}{{{', '.join(matchers)}}}"


OVERVIEW = Dashboard(
    "overview",
    "Overview",
    "Age of the data, results of runs, and details of the last run.",
    (
        Panel(
            "Since the last successful run",
            ((f"pipeline:pipedrive_etl_success_age_seconds{OF}", "{{pipeline}}"),),
            "stat",
            "s",
            AGE,
            runbook="EtlNotSucceeding",
            width=6,
            height=5,
        ),
        Panel(
            "Last run",
            ((m("last_run_status"), "{{pipeline}}"),),
            "stat",
            steps=((None, "red"), (1, "green")),
            mappings=RUN,
            runbook="EtlLastRunFailed",
            width=6,
            height=5,
        ),
        Panel(
            "Alerts firing",
            (('count(ALERTS{alertstate="firing"}) or vector(0)', ""),),
            "stat",
            steps=ZERO_IS_GOOD,
            width=4,
            height=5,
        ),
        Panel(
            "Tests of the marts failing",
            ((f"sum({m('dbt_tests', severity='error', status='~fail|error')})", ""),),
            "stat",
            steps=ZERO_IS_GOOD,
            runbook="DqErrors",
            width=4,
            height=5,
        ),
        Panel(
            "Today's API tokens left",
            ((f"pipeline:pipedrive_etl_api_tokens_remaining_ratio{OF}", "{{pipeline}}"),),
            "stat",
            "percentunit",
            ((None, "red"), (0.15, "orange"), (0.3, "green")),
            runbook="ApiTokensLow",
            note="By Pipedrive's own count, against PIPEDRIVE_DAILY_TOKENS.",
            width=4,
            height=5,
        ),
        Panel(
            "Runs",
            ((m("last_run_status"), "{{pipeline}}"),),
            "state-timeline",
            steps=((None, "red"), (1, "green")),
            mappings=RUN,
            width=12,
        ),
        Panel(
            "Duration by phase",
            ((m("last_run_duration_seconds", phase="!total"), "{{pipeline}} {{phase}}"),),
            unit="s",
            stacked=True,
            runbook="EtlSlow",
            width=12,
        ),
        Panel(
            "Records by stream, last run",
            ((f"sort_desc(sum by (stream) ({m('last_run_records')}))", "{{stream}}"),),
            "bargauge",
            runbook="EtlNoRecords",
            width=12,
            height=10,
        ),
        Panel(
            "Age of each stream",
            (("sort_desc(stream:pipedrive_etl_loaded_age_seconds)", "{{stream}}"),),
            "bargauge",
            "s",
            ((None, "green"), (3 * 3600, "orange"), (6 * 3600, "red")),
            runbook="EtlStreamStale",
            note="Time since a successful run loaded the whole stream.",
            width=12,
            height=10,
        ),
        Panel(
            "Started",
            ((f"{m('last_run_timestamp_seconds')} * 1000", "{{pipeline}}"),),
            "stat",
            "dateTimeFromNow",
            runbook="EtlHanging",
            width=6,
            height=5,
        ),
        Panel(
            "Ended, by result",
            ((f"{m('last_completion_timestamp_seconds')} * 1000", "{{pipeline}} {{result}}"),),
            "stat",
            "dateTimeFromNow",
            width=6,
            height=5,
        ),
        Panel(
            "Models, last build",
            ((f"sum by (state) ({m('dbt_models')})", "{{state}}"),),
            "stat",
            width=6,
            height=5,
        ),
        Panel(
            "Versions",
            (
                (m("build_info"), "pipeboard {{version}} {{git_sha}}"),
                (m("tap_build_info"), "tap {{tap_version}}"),
                (m("loader_build_info"), "loader {{loader_version}}"),
            ),
            "stat",
            width=6,
            height=5,
        ),
    ),
)

API = Dashboard(
    "api",
    "API and tokens",
    "Requests to Pipedrive, its responses, and their cost in tokens.",
    (
        Panel(
            "Tokens of the day: left and granted",
            (
                (m("api_tokens_remaining"), "{{pipeline}} left"),
                (m("api_tokens_budget"), "{{pipeline}} granted"),
            ),
            runbook="ApiTokensLow",
        ),
        Panel("Tokens of the last run", ((m("api_tokens_used"), "{{pipeline}}"),)),
        Panel(
            "Tokens a day",
            ((f"increase({m('run_api_tokens_total')}[1d])", "{{pipeline}}"),),
            note="Over all runs of the last 24 hours.",
        ),
        Panel(
            "Requests by endpoint, last run",
            ((f"topk(15, sum by (endpoint) ({m('api_requests')}))", "{{endpoint}}"),),
            "bargauge",
            width=12,
            height=10,
        ),
        Panel(
            "Latency by endpoint, 95 of 100",
            ((f"topk(15, {m('api_latency_seconds', quantile='0.95')})", "{{endpoint}}"),),
            "bargauge",
            "s",
            ((None, "green"), (2, "orange"), (10, "red")),
            width=12,
            height=10,
        ),
        Panel(
            "Answers by class",
            ((f"sum by (code_class) ({m('api_requests')})", "{{code_class}}"),),
            stacked=True,
        ),
        Panel(
            "Refused by the rate limit (429)",
            ((f"pipeline:pipedrive_etl_api_rate_limited_ratio{OF}", "{{pipeline}}"),),
            unit="percentunit",
            steps=((None, "green"), (0.05, "red")),
            runbook="ApiRateLimited",
        ),
        Panel(
            "429 by endpoint, last run",
            ((f"sum by (endpoint) ({m('api_rate_limited_requests')}) > 0", "{{endpoint}}"),),
            "bargauge",
            quiet=True,
        ),
        Panel(
            "Retries, by reason",
            ((f"sum by (reason) ({m('api_retries')})", "{{reason}}"),),
            quiet=True,
        ),
        Panel(
            "Failed requests, by endpoint and reason",
            ((f"sum by (endpoint, reason) ({m('api_errors')})", "{{endpoint}} {{reason}}"),),
            quiet=True,
        ),
        Panel(
            "Circuit breaker",
            ((m("circuit_breaker_state"), "{{pipeline}} {{name}}"),),
            "state-timeline",
            steps=((None, "green"), (1, "orange"), (2, "red")),
            mappings=BREAKER,
            runbook="CircuitOpen",
        ),
        Panel("Times the breaker opened", ((m("circuit_breaker_trips"), "{{pipeline}} {{name}}"),)),
        Panel(
            "Found in the cache",
            (
                (
                    f"{m('cache_hits')} / clamp_min({m('cache_hits')} + {m('cache_misses')}, 1)",
                    "{{pipeline}} {{cache}}",
                ),
            ),
            unit="percentunit",
        ),
    ),
)

LOADER = Dashboard(
    "loader",
    "Batches and loader",
    "Loading of records into PostgreSQL.",
    (
        Panel(
            "Rows by outcome, last run",
            ((f"sum by (outcome) ({m('loader_rows')})", "{{outcome}}"),),
            stacked=True,
            width=12,
        ),
        Panel(
            "Rows a second, while loading",
            (
                (
                    f"sum by (pipeline) ({m('loader_rows', outcome='!deleted')})"
                    f" / on (pipeline) ({m('loader_busy_seconds')} > 0)",
                    "{{pipeline}}",
                ),
            ),
            width=12,
        ),
        Panel("Batches of the last run", ((m("loader_batches"), "{{pipeline}}"),)),
        Panel(
            "Records of a batch",
            ((m("loader_batch_rows"), "{{pipeline}} quantile {{quantile}}"),),
            note="A batch ends by size, count or age: many small batches mean a slow source.",
        ),
        Panel(
            "Time to load a batch",
            ((m("loader_batch_duration_seconds"), "{{pipeline}} quantile {{quantile}}"),),
            unit="s",
        ),
        Panel(
            "Time spent loading",
            ((m("loader_busy_seconds"), "{{pipeline}}"),),
            unit="s",
            note="If it is near the duration of extract, the database is the bottleneck.",
        ),
        Panel(
            "Reconnections",
            ((m("loader_reconnects"), "{{pipeline}}"),),
            steps=ZERO_IS_GOOD,
        ),
        Panel(
            "Rows loaded by stream, last run",
            ((f"sort_desc(sum by (stream) ({m('last_run_rows_loaded')}))", "{{stream}}"),),
            "bargauge",
            height=10,
        ),
        Panel(
            "Records refused by stream, last run",
            ((f"sum by (stream) ({m('last_run_rows_rejected')})", "{{stream}}"),),
            steps=ZERO_IS_GOOD,
            runbook="QuarantineFilling",
            width=16,
            height=10,
        ),
        Panel(
            "Rows of all runs, a day",
            ((f"increase({m('run_rows_total')}[1d])", "{{pipeline}}"),),
        ),
    ),
)

MEMORY = Dashboard(
    "memory",
    "Memory",
    "Memory of runs, compared with their limits.",
    (
        Panel(
            "Used of the limit, last run",
            (
                (
                    f"{m('peak_memory_bytes')} / ({m('memory_limit_bytes')} > 0)",
                    "{{pipeline}}",
                ),
            ),
            "gauge",
            "percentunit",
            ((None, "green"), (0.75, "orange"), (0.9, "red")),
            runbook="MemoryNearLimit",
            note="Empty without a limit.",
            quiet=True,
        ),
        Panel(
            "Peak of a run",
            (
                (m("peak_memory_bytes"), "{{pipeline}} largest"),
                (f"{m('memory_limit_bytes')} > 0", "{{pipeline}} limit"),
            ),
            unit="bytes",
            width=16,
        ),
        Panel(
            "Peak of the tap",
            ((m("tap_peak_memory_bytes"), "{{pipeline}}"),),
            unit="bytes",
            note="The tap reads page by page, so its memory does not grow with the account.",
            width=12,
        ),
        Panel(
            "Peak of the loader",
            ((m("loader_peak_memory_bytes"), "{{pipeline}}"),),
            unit="bytes",
            note="About four times batch_size_bytes, plus Python itself.",
            width=12,
        ),
        Panel(
            "Prometheus and Pushgateway now",
            (('process_resident_memory_bytes{job=~"prometheus|pushgateway"}', "{{job}}"),),
            unit="bytes",
            width=12,
        ),
    ),
    hours=24 * 7,
)

FAILURES = Dashboard(
    "failures",
    "Failures",
    "Failures, with time and reason.",
    (
        Panel(
            "Runs a day, by result",
            ((f"sum by (result) (increase({m('runs_total')}[1d]))", "{{result}}"),),
            stacked=True,
        ),
        Panel(
            "Exit code of the last run",
            ((m("last_run_exit_code"), "{{pipeline}}"),),
            "stat",
            steps=((None, "green"), (1, "red"), (75, "orange"), (76, "red")),
            runbook="EtlLastRunFailed",
            note="65 data, 69 unavailable, 75 budget used up, 77 not permitted, 78 configuration.",
        ),
        Panel(
            "Result of the last run",
            (
                (
                    f"max by (pipeline, outcome) ({m('last_run_outcome')}) == 1",
                    "{{pipeline}} {{outcome}}",
                ),
            ),
            "state-timeline",
            runbook="EtlIncomplete",
            note="incomplete: a stream is missing, the others are loaded and built.",
        ),
        Panel(
            "Since the last run that failed",
            (
                (
                    f"time() - {m('last_completion_timestamp_seconds', result='failed')}",
                    "{{pipeline}}",
                ),
            ),
            "stat",
            "s",
            quiet=True,
        ),
        Panel(
            "Alerts",
            (('ALERTS{alertstate="firing"}', "{{alertname}} {{pipeline}} {{stream}}"),),
            "state-timeline",
            steps=((None, "red"),),
            quiet=True,
            width=24,
        ),
        Panel(
            "The last 50 runs that did not succeed",
            (
                (
                    "select started_at, job, status, exit_code, failed_stage, reason,"
                    " finished_at - started_at as took\n"
                    f"from ops.etl_run where status not in {GOOD}\n"
                    "order by started_at desc limit 50",
                    "",
                ),
            ),
            "table",
            quiet=True,
            width=24,
            height=10,
        ),
        Panel(
            "The last 50 runs",
            (
                (
                    "select started_at, job, status, exit_code, rows, calls, tokens,"
                    " coalesce(finished_at, now()) - started_at as took\n"
                    "from ops.etl_run order by started_at desc limit 50",
                    "",
                ),
            ),
            "table",
            width=24,
            height=12,
        ),
    ),
    hours=24 * 7,
)

LEFT = "pipedrive_etl_warehouse_history_remaining_deals"
KNOWN = "pipedrive_etl_warehouse_history_deals"
BACKFILL = Dashboard(
    "backfill",
    "Backfill",
    "The known share of the deals' history, and when it will be complete.",
    (
        Panel(
            "Deals with unread history",
            ((LEFT, "left"),),
            "stat",
            runbook="StageHistoryStalled",
            height=5,
        ),
        Panel(
            "Known",
            ((f"1 - sum({LEFT}) / clamp_min(sum({KNOWN}), 1)", ""),),
            "gauge",
            "percentunit",
            height=5,
        ),
        Panel(
            "Days left, at the speed of the last day",
            ((f"{LEFT} / (-delta({LEFT}[1d]) > 0)", ""),),
            "stat",
            "d",
            note="Empty if nothing was read for a day.",
            quiet=True,
            height=5,
        ),
        Panel("Left", ((LEFT, "left"),), width=12),
        Panel("Read a day", ((f"clamp_min(-delta({LEFT}[1d]), 0)", "deals"),), width=12),
        Panel("Quality of the history", ((KNOWN, "{{quality}}"),), "piechart", width=12),
        Panel(
            "Tokens a day, by pipeline",
            (("increase(pipedrive_etl_run_api_tokens_total[1d])", "{{pipeline}}"),),
            stacked=True,
            width=12,
        ),
    ),
    hours=24 * 14,
)

QUALITY = Dashboard(
    "quality",
    "Data quality",
    "Quality of the data in the warehouse.",
    (
        Panel(
            "Tests by severity and result",
            ((f"sum by (severity, status) ({m('dbt_tests')}) > 0", "{{severity}} {{status}}"),),
            "bargauge",
            runbook="DqErrors",
        ),
        Panel(
            "Rows that failed a test",
            ((f"topk(20, max by (check) ({m('dq_failures')}) > 0)", "{{check}}"),),
            "bargauge",
            quiet=True,
            width=16,
        ),
        Panel(
            "Streams not read to their end, last run",
            (
                (
                    "max by (stream, outcome) "
                    f"({m('stream_outcome', outcome='!~complete|not_due')}) == 1",
                    "{{stream}} {{outcome}}",
                ),
            ),
            "bargauge",
            runbook="EtlIncomplete",
            note="behind and not_permitted are no faults; refused and incomplete are. "
            "Lists that were not due are left out.",
            quiet=True,
            width=12,
        ),
        Panel(
            "Set aside, last run",
            (
                (
                    f"sum by (stream) ({m('stream_quarantined_records')}) > 0",
                    "{{stream}} records in quarantine",
                ),
                (
                    f"sum by (stream) ({m('stream_nulled_values')}) > 0",
                    "{{stream}} values set to null",
                ),
                (
                    f"sum by (stream) ({m('stream_incomplete_parents')}) > 0",
                    "{{stream}} records with incomplete dependents",
                ),
            ),
            "bargauge",
            runbook="QuarantineFilling",
            note="These records and values were set aside; all others were loaded.",
            quiet=True,
            width=12,
        ),
        Panel(
            "Records in quarantine",
            (("pipedrive_etl_warehouse_quarantined_records", "{{stream}}"),),
            steps=ZERO_IS_GOOD,
            runbook="QuarantineFilling",
        ),
        Panel(
            "Changes of the source, last run",
            ((f"sum by (kind) ({m('schema_changes')})", "{{kind}}"),),
            runbook="SourceChanged",
            quiet=True,
        ),
        Panel(
            "Newest change read, by stream",
            (
                (
                    "sort_desc(time() - max by (stream)"
                    f" ({m('stream_bookmark_timestamp_seconds')}))",
                    "{{stream}}",
                ),
            ),
            "bargauge",
            "s",
            note="By Pipedrive's clock. A stream without changes is old but complete.",
        ),
        Panel(
            "Loaded to its end, by stream",
            (
                (
                    "sort_desc(time() - pipedrive_etl_warehouse_stream_loaded_timestamp_seconds)",
                    "{{stream}}",
                ),
            ),
            "bargauge",
            "s",
            note="From the warehouse itself, also for runs that failed.",
            height=10,
        ),
        Panel(
            "Records in the last 24 hours, by stream",
            (("sort_desc(pipedrive_etl_warehouse_records_read_24h)", "{{stream}}"),),
            "bargauge",
            height=10,
        ),
        Panel(
            "Rows by table",
            (
                (
                    'topk(30, pipedrive_etl_warehouse_rows{schema=~"pipedrive|marts"})',
                    "{{schema}}.{{table}}",
                ),
            ),
            "bargauge",
            height=10,
        ),
        Panel(
            "Size by schema",
            (("pipedrive_etl_warehouse_size_bytes", "{{schema}}"),),
            unit="bytes",
            stacked=True,
        ),
    ),
)

PLATFORM = Dashboard(
    "platform",
    "Platform",
    "State of the monitoring itself.",
    (
        Panel(
            "Answering",
            (("up", "{{job}}"),),
            "state-timeline",
            steps=((None, "red"), (1, "green")),
            mappings=UP,
            runbook="PushgatewayDown",
            width=12,
        ),
        Panel(
            "Since the last push",
            (('time() - push_time_seconds{job="pipedrive_etl"}', "{{pipeline}}"),),
            "stat",
            "s",
            runbook="EtlNeverPushed",
            width=6,
        ),
        Panel(
            "Pushes refused",
            (('push_failure_time_seconds{job="pipedrive_etl"} > 0', "{{pipeline}}"),),
            "stat",
            runbook="PushRefused",
            quiet=True,
            width=6,
        ),
        Panel(
            "Queries of the metrics server",
            (("sum by (status) (increase(queries_total[10m]))", "{{status}}"),),
            runbook="MetricsServerQueryFailing",
            note="In ten minutes.",
        ),
        Panel(
            "Time of a query",
            (
                (
                    "sum by (query) (increase(query_latency_sum[10m]))"
                    " / sum by (query) (increase(query_latency_count[10m]) > 0)",
                    "{{query}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Time of a scrape",
            (("scrape_duration_seconds", "{{job}}"),),
            unit="s",
            runbook="MetricsServerDown",
        ),
        Panel("Series in Prometheus", (("prometheus_tsdb_head_series", ""),)),
        Panel(
            "Rules that could not be evaluated",
            (("increase(prometheus_rule_evaluation_failures_total[1h])", "{{rule_group}}"),),
            steps=ZERO_IS_GOOD,
        ),
        Panel(
            "Version of Prometheus",
            (("prometheus_build_info", "{{version}}"),),
            "stat",
            steps=PLAIN,
        ),
    ),
)

ALL = (OVERVIEW, API, LOADER, MEMORY, FAILURES, BACKFILL, QUALITY, PLATFORM)
