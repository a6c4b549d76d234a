"""How `make docs` builds the site: Sphinx, pages in Markdown and notebooks by MyST, API pages from the docstrings."""

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
    "myst_nb",  # pages in Markdown, notebooks
    "sphinx.ext.autodoc",  # pages from docstrings
    "sphinx.ext.napoleon",  # their sections: Args, Returns, Raises
    "sphinx.ext.viewcode",  # the source beside them
    "signatures",  # readable signatures of Linen modules
    "mathml",  # formulas without a script from elsewhere
    "repository_links",  # links of included files
]
exclude_patterns = ["_extensions"]

# Notebooks are committed executed, and a test executes them; the site shows what is there.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

# Names between single backticks in docstrings are code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # those of flax explain flax
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 100
