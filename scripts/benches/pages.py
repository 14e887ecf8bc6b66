"""Pages with places that tables are filled into. It needs nothing but Python."""

import re
from collections.abc import Mapping


def filled(page: str, parts: Mapping[str, str]) -> str:
    """A page with these texts: what is between `<!-- NAME -->` and `<!-- /NAME -->` is replaced."""
    for name, text in parts.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page = marks.sub(lambda m, t=text: f"{m[1]}\n{t}\n\n{m[2]}", page)
    return page
