"""The public bundles, unpacked once for all tests of loaders."""

import lzma
import shutil
import tarfile

import pytest

from tests.benchmark.capture_bytes import BUNDLE

# Two sessions that are whole, two tables and two captures that are not.
SESSIONS = (
    "movement_Apr20_exp_135",
    "baseline_Mar22_exp_41",
    "baseline_Mar22_exp_51",
    "baseline_Mar22_exp_52",
    "baseline_May17_exp_370",
    "movement_Apr05_exp_86",
)


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """Unpack one of the public bundles, with its xz files; a function of its name."""

    def unpack(name):
        bundle = BUNDLE.with_name(f"{name}.tar.xz")
        if not bundle.exists():
            pytest.skip(f"public captures aren't there: {bundle.name}")
        home = tmp_path_factory.mktemp(name)
        with tarfile.open(bundle) as archive:
            archive.extractall(home, filter="data")
        for path in home.rglob("*.xz"):
            if name == "requet" and path.name.split(".")[0] not in SESSIONS:
                path.unlink()
                continue
            with lzma.open(path) as source, open(path.with_suffix(""), "wb") as sink:
                shutil.copyfileobj(source, sink)
            path.unlink()
        return home / name

    return unpack
