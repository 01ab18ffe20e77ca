"""Which colour is which model; the same everywhere on the page."""

from collections.abc import Sequence

from zoo.compare.report.collect import Contender
from zoo.compare.report.drawing import swatch
from zoo.compare.report.markup import Html, tag


def legend(contenders: Sequence[Contender]) -> Html:
    """A line in the colour of every model, and its name."""
    items = [
        tag("li", tag("span", class_=f"line {swatch(one.place)}", aria_hidden="true"), one.name) for one in contenders
    ]
    return tag("ul", *items, class_="legend", aria_label="Colours of the models")
