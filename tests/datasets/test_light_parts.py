"""What the light player is served and by whom: media of random bytes, cross traffic, servers."""

import json
import statistics

import pytest

pytest.importorskip("cryptography", reason="make testbed installs it")
pytest.importorskip("h2", reason="make testbed installs it")

import cross
import media_bytes
import servers
from session import Link, Session


def test_the_film_of_bytes_is_laid_out_as_a_real_one(tmp_path):
    film = media_bytes.prepare_bytes(tmp_path)
    ladder = json.loads((film / "ladder.json").read_text())
    assert [len(sizes) for sizes in ladder["sizes"]] == [12] * 7
    assert ladder["bits"][:6] == sorted(ladder["bits"][:6])
    for representation, sizes in enumerate(ladder["sizes"]):
        for number, size in enumerate(sizes, start=1):
            assert (film / f"c{representation}-{number}.m4s").stat().st_size == size
    assert (film / "manifest.mpd").read_text().count("<Representation ") == 7
    before = (film / "ladder.json").stat().st_mtime_ns
    media_bytes.prepare_bytes(tmp_path)
    assert (film / "ladder.json").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["bytes"]


def test_pages_are_seeded_and_of_the_stated_sizes():
    def pages(seed):
        drawn = cross.draw_pages(seed)
        return [next(drawn) for _ in range(300)]

    assert pages(1) == pages(1) != pages(2)
    sizes = [size for _, page in pages(1) for size in page]
    assert all(8 <= len(page) <= 25 for _, page in pages(1))
    assert statistics.median(sizes) == pytest.approx(15_000, rel=0.1)
    assert max(sizes) <= 1_000_000
    assert statistics.mean(think for think, _ in pages(1)) == pytest.approx(8.0, rel=0.2)


def test_downloads_are_modest():
    wide = [cross.draw_downloads(seed, 60.0, 1000.0) for seed in range(200)]
    assert {len(downloads) for downloads in wide} == {1, 2}
    assert all(1e6 <= one.size <= 8e6 and 0 < one.begin < 60 for downloads in wide for one in downloads)
    for downloads in (cross.draw_downloads(seed, 60.0, 1.0) for seed in range(50)):
        assert sum(one.size for one in downloads) <= 0.25 * 60e6 / 8 + 2
    link = Link(down=((0.0, 2.0), (30.0, 4.0)))
    session = Session("s", "streaming", "light", "h2", link, duration=40.0)
    assert cross.mean_rate(session.as_dict()) == pytest.approx(2.5)


def test_a_bound_port_is_found_in_the_kernels_table():
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue\n"
        "   0: 01004D0A:01BB 00000000:0000 0A 00000000:00000000\n"
        "   1: 01004D0A:20FB 02004D0A:9999 01 00000000:00000000\n"
    )
    assert servers.is_bound(table, "10.77.0.1", 443)
    assert not servers.is_bound(table, "10.77.0.1", 8443)
    assert not servers.is_bound(table, "10.77.0.2", 443)


def test_a_certificate_is_pinned_by_its_public_key(tmp_path):
    first, again = servers.make_certificate(tmp_path), servers.make_certificate(tmp_path)
    assert len(first.spki) == 44
    assert first.spki != again.spki
    assert first.key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(servers.ServerError, match="can't be told"):
        servers.nginx_config(tmp_path / 'a"b', "films", tmp_path, again, 443)
