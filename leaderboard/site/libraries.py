"""The pages' table and plotting libraries: taken at build time from Python packages that carry them."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from benchmark.errors import Unsupported

# DataTables, its row groups and jQuery in one module, with their licences at its end.
TABLES = ("itables", "itables/html/dt_bundle.js")
PLOTS = ("plotly", "plotly/package_data/plotly.min.js")
_EXPORTS = re.compile(r"export\{([^{}]*)\};")


def datatables_script() -> str:
    """Return DataTables as a classic script that defines ``DataTable``: browsers load no modules from files."""
    source = _read(*TABLES)
    exports = _EXPORTS.findall(source)
    names = re.findall(r"([\w$]+) as default", exports[0]) if len(exports) == 1 else []
    if len(names) != 1:
        raise Unsupported(f"{TABLES[0]} {metadata.version(TABLES[0])} exports its table in a way not known here")
    body = _EXPORTS.sub(lambda _: f"window.DataTable={names[0]};", source)
    return f"(()=>{{{body}\n}})();\n"


def plotly_script() -> str:
    """Return Plotly, which defines ``Plotly``."""
    return _read(*PLOTS)


def licences() -> str:
    """Return the licences of both packages."""
    parts = []
    for package, _ in (TABLES, PLOTS):
        found = metadata.distribution(package)
        texts = [
            Path(str(file.locate())).read_text(encoding="utf-8").strip()
            for file in found.files or []
            if ".dist-info" in str(file) and "licen" in file.name.lower()
        ]
        parts.append("\n\n".join([f"{package} {found.version}", *sorted(texts)]))
    return "\n\n\n".join([*parts, "The licences of what DataTables is bundled with are at the end of datatables.js.\n"])


def _read(package: str, path: str) -> str:
    try:
        file = Path(str(metadata.distribution(package).locate_file(path)))
    except metadata.PackageNotFoundError:
        raise Unsupported(f"the site needs the package {package}: pip install {package}") from None
    if not file.exists():
        raise Unsupported(
            f"{package} {metadata.version(package)} has no {path}; requirements.lock names a version that has"
        )
    return file.read_text(encoding="utf-8")
