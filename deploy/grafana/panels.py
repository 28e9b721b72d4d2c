"""The panels that the dashboards are put together from, all of one look.

Owns the look. Does not know what is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef("prometheus", "signet-prometheus")
WIDTH = 24
REFS = "ABCDEFGHIJ"

COLORS = ("green", "orange", "red")
"""Below the first limit, above it, above the second."""
STATES = {"LOADING": ("1", "blue"), "READY": ("2", "green"), "UNLOADING": ("3", "yellow"), "FAILED": ("4", "red")}
"""State to the number that a state timeline draws, and its colour."""


def queries(exprs: Mapping[str, str], *, instant: bool = False) -> list[prometheus.Dataquery]:
    """One query for each legend."""
    built = []
    for ref, (legend, expr) in zip(REFS, exprs.items(), strict=False):
        query = prometheus.Dataquery().ref_id(ref).datasource(SOURCE).expr(expr).legend_format(legend)
        built.append(query.instant() if instant else query.range())
    return built


def lines(title: str, description: str, unit: str, exprs: Mapping[str, str], *, span: int = 8) -> timeseries.Panel:
    """Lines over time, by legend; the axis begins at 0."""
    panel = (
        _laid_out(timeseries.Panel(), title, description, unit, span)
        .min(0)
        .fill_opacity(8)
        .show_points(looks.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(looks.LegendDisplayMode.TABLE)
            .placement(looks.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["mean", "max", "lastNotNull"])
        )
        .tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
    )
    return panel.targets(list(queries(exprs)))


def limited(panel: timeseries.Panel, *limits: float) -> timeseries.Panel:
    """The panel with a dashed line at each limit: where someone is told."""
    style = common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(_thresholds(limits)).thresholds_style(style)


def number(title: str, description: str, unit: str, expr: str, *limits: float) -> stat.Panel:
    """The newest value, coloured by the limits that it has passed."""
    return (
        _laid_out(stat.Panel(), title, description, unit, span=4, height=4)
        .targets(list(queries({"": expr})))
        .thresholds(_thresholds(limits))
        .graph_mode(looks.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("-")
    )


def heat_map(title: str, description: str, unit: str, expr: str, *, span: int = 8) -> heatmap.Panel:
    """A histogram over time, `expr` by `le`."""
    (query,) = queries({"{{le}}": expr})
    return (
        _laid_out(heatmap.Panel(), title, description, unit, span)
        .targets([query.format(PromQueryFormat.HEATMAP)])
        .calculate(calculate=False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Spectral").steps(64))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
    )


def states(title: str, description: str, exprs: Mapping[str, str], *, span: int = 12) -> statetimeline.Panel:
    """A lane for each series, whose value is a state's number."""
    named = {number: ValueMappingResult(text=state, color=color) for state, (number, color) in STATES.items()}
    return (
        _laid_out(statetimeline.Panel(), title, description, "none", span)
        .targets(list(queries(exprs)))
        .mappings([ValueMap(named)])
        .show_value(looks.VisibilityMode.AUTO)
    )


def columns(
    title: str, description: str, exprs: Mapping[str, str], units: Mapping[str, str], *, span: int = WIDTH
) -> table.Panel:
    """A row for each set of labels that the queries share, a column for each label and query; not of a query "_…"."""
    asked = queries(exprs, instant=True)
    values = {f"Value #{ref}": name for ref, name in zip(REFS, exprs, strict=False)}
    shown = {value: name for value, name in values.items() if not name.startswith("_")}
    hidden = dict.fromkeys(("Time", *(value for value in values if value not in shown)), True)
    panel = (
        _laid_out(table.Panel(), title, description, "none", span)
        .targets([query.format(PromQueryFormat.TABLE) for query in asked])
        .with_transformation(DataTransformerConfig("merge", options={}))
        .with_transformation(
            DataTransformerConfig("organize", options={"excludeByName": hidden, "renameByName": shown})
        )
        .no_value("-")
    )
    for name, unit in units.items():
        panel = panel.override_by_name(name, [DynamicConfigValue("unit", unit)])
    return panel


class _Common(Protocol):
    """What every panel's builder has."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: DataSourceRef) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...


AnyPanel = TypeVar("AnyPanel", bound=_Common)


def _laid_out(panel: AnyPanel, title: str, description: str, unit: str, span: int, height: int = 9) -> AnyPanel:
    return panel.title(title).description(description).datasource(SOURCE).unit(unit).span(span).height(height)


def _thresholds(limits: Sequence[float]) -> dashboards.ThresholdsConfig:
    colors = COLORS if len(limits) > 1 else (COLORS[0], COLORS[-1])
    steps = [Threshold(value, color) for value, color in zip((None, *limits), colors, strict=False)]
    return dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
