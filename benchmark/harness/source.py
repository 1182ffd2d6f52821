"""Digests of code: a stage's result depends on the files that it imports, and on nothing else of the house."""

from __future__ import annotations

import ast
import hashlib
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOMS = ("benchmark", "baselines", "bpf")
# CPython 3.11 and 3.12 count the depth of a syntax tree in one place for all threads, and fail when two build one.
_ONE_TREE_AT_A_TIME = threading.Lock()


def source_digest(modules: Iterable[str], root: Path) -> str:
    """Digest the code of ``modules`` and of all that they import, directly or not, from the house's rooms.

    Comments, docstrings and layout don't count, so tidying a file doesn't refit anything. Raises
    FileNotFoundError for a module that isn't there.
    """
    digest = hashlib.sha256()
    with _ONE_TREE_AT_A_TIME:
        for path in sorted(_closure(frozenset(modules), root)):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + _code(path, path.stat().st_mtime_ns))
    return digest.hexdigest()


def files_digest(paths: Iterable[str], root: Path) -> str:
    """Digest the content of files, and of all files in folders, below ``root``: code that isn't Python, and objects.

    Raises FileNotFoundError for a path that isn't there.
    """
    digest = hashlib.sha256()
    for name in sorted(set(paths)):
        path = root / name
        if not path.exists():
            raise FileNotFoundError(f"{path} isn't there")
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in (one for one in inside if one.is_file() and "__pycache__" not in one.parts):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def module_path(module: str, root: Path) -> Path:
    """Return the file of a dotted module name below ``root``."""
    base = root.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{module}: neither {base}.py nor {base}/__init__.py is there")


def _closure(modules: frozenset[str], root: Path) -> set[Path]:
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = module_path(waiting.pop(), root)
        if path in found:
            continue
        found.add(path)
        names = _imports(path, path.relative_to(root).parts[:-1], path.stat().st_mtime_ns)
        waiting.extend(name for name in names if _exists(name, root))
    return found


@cache
def _imports(path: Path, package: tuple[str, ...], changed: int) -> list[str]:
    """Names that a file imports from the house's rooms, at its top or within its functions, be they modules or not.

    changed: when the file last did, which keeps the cache honest.
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            prefix = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*prefix, *([node.module] if node.module else [])])
            names.append(module)
            names += [f"{module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] in ROOMS]


def _exists(module: str, root: Path) -> bool:
    try:
        module_path(module, root)
    except FileNotFoundError:
        return False
    return True


@cache
def _code(path: Path, changed: int) -> bytes:
    """The code of a file without comments and docstrings; ``changed`` keeps the cache honest."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree).encode()
