"""Sphinx's settings for the site that `make docs` builds (docs/dependencies.md says why Sphinx).

The source directory is the whole checkout, so that pages link to each other, to the notebooks and
to the change log by the same paths as on a code host. `include_patterns` says which files are
pages. Every warning is an error (the Makefile), among them: a link to a page or a heading that
there is not, a page that no table of contents has, and a type in a public signature that the
Python reference does not describe.
"""

from __future__ import annotations

import logging
from importlib.metadata import version as version_of

project = "Virtual Platform"
author = "the authors of Virtual Platform"
version = release = version_of("virtual-platform")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "tools.docs.docstrings",
]

root_doc = "docs/index"
include_patterns = ["CHANGELOG.md", "docs/**.md", "notebooks/**.md", "notebooks/**.ipynb"]
exclude_patterns = [
    ".*",
    "*.egg-info",
    "build",
    "guests",
    "out",
    "tests",
    "**/__pycache__",
    "**/.ipynb_checkpoints",
]

# --- checks ---------------------------------------------------------------------------------------

nitpicky = True
#: Types of other projects, which this site does not describe.
nitpick_ignore_regex = [
    ("py:.*", rf"{name}(\..*)?")
    for name in (
        *("_ctypes", "argparse", "collections", "ctypes", "enum", "fractions", "os", "pathlib"),
        *("typing", "types", "capstone", "keystone", "numpy", "np", "rich"),
    )
]
#: The interpreter's own classes, which have two builds; the contract says what they offer.
#: And variables of types.
nitpick_ignore_regex += [
    ("py:class", r"(bt\.interp\.\w+\.)?(Interp|Ram|AddressSpace)"),
    ("py:class", r"bt\.contract\.Space|monitor\.vmware\.host\.Result"),
]

#: What makes the objects that an extension is given.
nitpick_ignore_regex += [
    ("py:class", r"monitor\.extensions\.\w+\.(HandledProcessor|FilledShadow|ChainingProcessor)"),
]

#: What the parts of a machine are made from.
nitpick_ignore_regex += [
    ("py:class", r"monitor\.vmm\.(board\.Board|processor\.Processor|watchpoint\.Watchpoints)"),
]

nitpick_ignore_regex += [
    ("py:class", r"monitor\.vmm\.physical_map\.(PhysicalMap|DeviceMemory)"),
    ("py:class", r"monitor\.embedding\.plugging\.Made|devices\.own_memory\.OwnMemory"),
    ("py:class", r"monitor\.extensions\.slots\.HasOwn"),
    ("py:class", r"devices\.claims\.Addresses|devices\.shapes\.Shape"),
    ("py:class", r"devices\.(claims\.PciClaim|pci\.slots\.PciTarget|i8237\.(I8237Pair|DmaLine))"),
    ("py:class", r"devices\.apic\.io_apic\.Processor"),
    ("py:class", r"devices\.video\.vga\.Vga|monitor\.vmware\.guest_calls\.GuestCalls"),
]

#: A table of rich's, which says itself how it becomes narrow.
nitpick_ignore_regex += [("py:class", r"monitor\.writing\.whole_table\.Table")]

#: A device's and an engine's bus have one name: `Bus` alone is the one of the module at hand.
suppress_warnings = ["ref.python"]

#: Fields that a dataclass inherits are shown as they are written.
nitpick_ignore_regex += [("py:class", "Fraction")]

# The notebooks' folder may be empty. `suppress_warnings` does not reach this warning: no type.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: getattr(record, "subtype", "") != "empty_glob"
)

# --- Markdown and notebooks -----------------------------------------------------------------------

myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
#: Notebooks are shown as they were committed; that they run is what their tests are for.
nb_execution_mode = "off"
nb_merge_streams = True

# --- the Python reference -------------------------------------------------------------------------

add_module_names = False
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
#: Imported for types only, as long as nobody needs it: all types of such a signature would be lost.
autodoc_type_aliases = {"Recorder": "monitor.recording.recorder.Recorder"}
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
default_role = "code"
#: They would make a dash of the two hyphens in front of an option.
smartquotes = False

# --- how it looks ---------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"Virtual Platform {version}"
html_static_path = ["_static"]
html_extra_path = ["_root"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
