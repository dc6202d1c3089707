"""Answers MetricFlow queries of standard input as JSON, all in one process.

Started with the Python of the dbt environment, in the project folder that `mf` reads.
"""

import json
import sys
from datetime import datetime
from decimal import Decimal
from typing import Any

from dbt_metricflow.cli.cli_configuration import CLIConfiguration
from metricflow.engine.metricflow_engine import MetricFlowQueryRequest


def plain(value: Any) -> Any:
    """Make a value fit for JSON; numbers stay exact."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    return str(value) if isinstance(value, Decimal) else value


def main() -> None:
    configuration = CLIConfiguration()
    configuration.setup(configure_file_logging=False)
    answers = []
    for metrics, dimension in json.load(sys.stdin):
        request = MetricFlowQueryRequest.create(metric_names=metrics, group_by_names=[dimension])
        table = configuration.mf.query(mf_request=request).result_df
        answers.append([[plain(value) for value in row] for row in table.rows])
    json.dump(answers, sys.stdout)


main()
