"""Sphinx configuration for `make docs`: Markdown pages and notebooks through MyST, API pages from docstrings."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))
import tfmr

project = "tfmr"
release = version = tfmr.__version__
html_title = f"tfmr {version}"
html_show_copyright = False
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tfmr.css"]
html_favicon = "_static/favicon.svg"
html_copy_source = False

extensions = [
    "myst_nb",  # Markdown pages and notebooks
    "sphinx.ext.autodoc",  # API pages from docstrings
    "sphinx.ext.napoleon",  # Google-style docstring sections: Args, Returns, Raises
    "sphinx.ext.viewcode",  # links to the source code
    "signatures",  # readable signatures of Linen modules
    "mathml",  # formulas without an external script
    "repository_links",  # links in included files
]
exclude_patterns = ["_extensions"]

# Notebooks are committed with their outputs, and a test executes them. The site shows the committed outputs.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

# Render text between single backticks in docstrings as code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # inherited docstrings describe flax
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 100
