"""A whole dashboard: its variables, its rows, its links to the others.

Owns what queries can be narrowed to. Does not know the panels.
"""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.panels import SOURCE

TAG = "signet"

SERVERS = 'job=~"$job", instance=~"$instance"'
VERSIONS = f'{SERVERS}, model=~"$model", version=~"$version"'
"""Selectors by which a query heeds the variables."""

VARIABLES = {
    "job": "label_values(signet_build_info, job)",
    "instance": 'label_values(signet_build_info{job=~"$job"}, instance)',
    "model": f"label_values(signet_model_state{{{SERVERS}}}, model)",
    "version": f'label_values(signet_model_state{{{SERVERS}, model=~"$model"}}, version)',
}


def board(
    uid: str, title: str, description: str, variables: Sequence[str], rows: Mapping[str, Sequence[Builder[Panel]]]
) -> Dashboard:
    """A dashboard of `rows` by title; `variables`: those of VARIABLES that its queries heed."""
    built = (
        dashboards.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .variables([_variable(name) for name in variables])
        .link(_to_the_others())
    )
    for name, panels in rows.items():
        built = built.with_row(dashboards.Row(name))
        for panel in panels:
            built = built.with_panel(panel)
    finished = built.build()
    for number, each in enumerate(finished.panels or (), start=1):
        each.id_val = number
    return finished


def _variable(name: str) -> dashboards.QueryVariable:
    # ".*" and not a list: failures that no version answers for have an empty model.
    return (
        dashboards.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(VARIABLES[name])
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NATURAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def _to_the_others() -> dashboards.DashboardLink:
    return (
        dashboards.DashboardLink("Signet")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )
