"""The pages' templates: how numbers are written, and how the style and the pictures get into one file.

Owns filters and the loading of templates. Does not know what a page tells.
"""

import base64
import functools
import importlib.resources

import jinja2


def data_uri(png: bytes) -> str:
    """A PNG file as an address that fetches nothing."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def page_template(name: str) -> jinja2.Template:
    """The template `name` of this package; words that go into it are text, never markup."""
    return _environment().get_template(name)


@functools.cache
def _environment() -> jinja2.Environment:
    files = importlib.resources.files("training")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (files / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: "-" if share is None else f"{100 * share:.2f} %"
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["duration"] = _duration
    environment.filters["size"] = _size
    environment.filters["data_uri"] = data_uri
    environment.filters["minute"] = lambda moment: moment.replace("T", " ").replace("Z", " UTC")
    return environment


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _size(count: float) -> str:
    if count < 1024**2:
        return f"{count / 1024:,.0f} KiB"
    return f"{count / 1024**2:,.1f} MiB"
