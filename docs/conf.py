"""How Sphinx makes a searchable site of the project's pages; `make docs` runs it."""

from typing import Any

from sphinx.application import Sphinx

project = "Pipedrive warehouse"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "LICENSE", "docs/**.md", "*/README.md"]
exclude_patterns = [".*", "transform/target", "transform/logs"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]  # Pygments colours no CSV
html_theme = "furo"
html_title = project
html_show_sphinx = False
html_copy_source = False

CONTENTS = """
```{toctree}
:hidden:
:glob:

docs/operate
docs/scale
docs/clouds
docs/analyze
docs/observe
docs/behaviour
docs/completeness
docs/streams
docs/settings
docs/custom-fields
docs/marts
docs/marts-rules
docs/history
docs/money-and-customers
docs/data-quality
docs/hubspot
docs/recipes
docs/develop
docs/publish
docs/principles
*
*/README
docs/pt-BR/*
```

```{raw} html
<p><a href="models.html">Every model with its columns, tests and lineage</a></p>
```
"""
"""What the site has and GitHub does not need: the menu, and the way to dbt's own page."""


def setup(app: Sphinx) -> None:
    """Add the contents to the first page, and the language to the pages in Portuguese."""

    def add_contents(_: Sphinx, page: str, source: list[str]) -> None:
        if page == root_doc:
            source[0] += CONTENTS

    app.connect("source-read", add_contents)

    def set_language(_: Sphinx, page: str, _template: str, context: dict[str, Any], _tree: object) -> None:
        if "pt-BR" in page:
            context["language"] = "pt-BR"

    app.connect("html-page-context", set_language)
