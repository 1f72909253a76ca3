"""How the documentation is built: `make docs`."""

import warnings

import skdistill

project = "skdistill"
author = "skdistill developers"
copyright = "the skdistill developers"
version = release = skdistill.__version__

# No intersphinx: the build needs no network.
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "serving"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "skdistill"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}

autosummary_generate = True
autodoc_typehints = "none"
# The page of a class lists its methods itself: see _templates/autosummary/class.rst.
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
}

# Examples are executed here; what they warn of should be seen by whoever changes them.
warnings.filterwarnings("error", module="skdistill")
