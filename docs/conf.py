"""Sphinx configuration."""

project = "Krake"
copyright = "the Krake contributors"
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "changes"]
html_theme = "alabaster"
html_static_path: list[str] = []
# Links to files of the repository outside of docs/ are for readers of the repository.
suppress_warnings = ["myst.xref_missing"]
