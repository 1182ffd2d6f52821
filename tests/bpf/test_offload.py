"""What hides packets from every hook is read out of tools' outputs, as routers printed them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmark.errors import Unsupported
from bpf import offload
from bpf.offload import Flowtable

# OpenWrt's fw4, MediaTek, hardware flow offload.
FW4 = """table inet fw4
flush table inet fw4
table inet fw4 {
        #
        # Flowtable
        #

        flowtable ft {
                hook ingress priority 0;
                devices = { "lan1", "lan2", "pppoe-wan", "wan", "wl0-ap0" };
                counter;
                flags offload;
        }
        chain forward {
                type filter hook forward priority filter; policy drop;
                meta l4proto { tcp, udp } flow offload @ft;
        }
}
"""
# nft list flowtables: one in software, one in hardware.
NFT = """table inet router {
	flowtable ft {
		hook ingress priority filter
		devices = { br-lan, eth1 }
		counter
	}
}
table ip second {
	flowtable hw {
		hook ingress priority filter + 5
		devices = { eth2,
			eth3 }
		flags offload
	}
}
"""
CONNECTIONS = """ipv4     2 tcp      6 src=1.1.1.17 dst=1.1.1.16 sport=56394 dport=5001 src=1.1.1.16 dst=1.1.1.17 sport=5001 dport=56394 [HW_OFFLOAD] mark=0 zone=0 use=3
ipv4     2 tcp      6 src=77.172.168.59 dst=178.63.116.246 sport=51912 dport=5432 src=172.16.217.175 dst=77.172.168.59 sport=5432 dport=51912 [OFFLOAD] mark=0 use=2
ipv4     2 tcp      6 427591 ESTABLISHED src=77.172.168.59 dst=178.63.116.246 sport=50573 dport=22 src=172.16.217.175 dst=77.172.168.59 sport=22 dport=50573 [ASSURED] mark=0 use=1
"""  # noqa: E501
FEATURES = """Features for eth0:
rx-checksumming: on
tls-hw-tx-offload: off [fixed]
hw-tc-offload: on
esp-hw-offload: off [fixed]
"""
FILTERS = """filter protocol ip pref 1 flower chain 0
filter protocol ip pref 1 flower chain 0 handle 0x1
  eth_type ipv4
  ip_proto tcp
  in_hw in_hw_count 1
filter protocol all pref 2 bpf chain 0 handle 0x1 tracearena direct-action not_in_hw id 451 tag 7c85c77581178cdb jited
"""
MODULES = """qca_nss_ecm 540672 0 - Live 0x0000000000000000 (O)
nf_conntrack 131072 3 nft_ct,nf_nat,nf_flow_table, Live 0x0000000000000000
mtkhnat 61440 0 - Live 0x0000000000000000
"""
BOUND = """0014a BND IPv4 5T orig=192.168.1.10:51000->1.2.3.4:443 new=5.6.7.8:51000->1.2.3.4:443 eth=00:00:00:00:00:00
0014b UNB IPv4 5T orig=192.168.1.10:51001->1.2.3.4:443
"""


def test_flow_tables_as_fw4_prints_them() -> None:
    devices = frozenset({"lan1", "lan2", "pppoe-wan", "wan", "wl0-ap0"})
    assert offload.parse_flowtables(FW4) == [Flowtable("ft", devices, True)]
    assert offload.parse_flowtables(FW4.replace("flags offload;", "")) == [Flowtable("ft", devices, False)]


def test_flow_tables_as_nft_prints_them() -> None:
    assert offload.parse_flowtables(NFT) == [
        Flowtable("ft", frozenset({"br-lan", "eth1"}), False),
        Flowtable("hw", frozenset({"eth2", "eth3"}), True),
    ]
    assert offload.parse_flowtables("") == []


def test_connections() -> None:
    assert offload.parse_connections(CONNECTIONS.splitlines()) == (1, 1)
    assert offload.parse_connections([]) == (0, 0)


@pytest.mark.parametrize(("state", "told"), [("on", True), ("off", False), ("off [fixed]", False)])
def test_tc_offload(state: str, told: bool) -> None:
    assert offload.parse_tc_offload(FEATURES.replace("hw-tc-offload: on", f"hw-tc-offload: {state}")) is told


def test_tc_offload_that_is_not_told() -> None:
    assert offload.parse_tc_offload("Cannot get device feature names: No such device\n") is None


def test_filters_modules_engine_and_configuration() -> None:
    assert offload.parse_filters(FILTERS) == 1
    assert offload.parse_filters(FILTERS.replace("in_hw in_hw_count 1", "not_in_hw")) == 0
    assert offload.parse_modules(MODULES) == ["mtkhnat", "qca_nss_ecm"]
    assert offload.parse_modules("nf_conntrack 131072 3 nft_ct, Live 0x0\n") == []
    assert offload.parse_bound(BOUND) == 1
    assert offload.parse_firewall("config defaults\n\toption flow_offloading '1'\n\toption flow_offloading_hw '1'\n")
    assert not offload.parse_firewall(
        "config defaults\n\toption flow_offloading '1'\n\toption flow_offloading_hw '0'\n"
    )


def answering(monkeypatch: pytest.MonkeyPatch, **answers: str) -> None:
    """Have tools print these, by their names; the machine's own files and other tools say nothing."""
    monkeypatch.setattr(offload, "_ask", lambda *words: answers.get(words[0], ""))
    monkeypatch.setattr(offload, "_read", lambda path: answers.get(Path(path).name, ""))
    monkeypatch.setattr(
        offload, "members", lambda device: frozenset({device, "lan1"} if device == "br-lan" else {device})
    )
    monkeypatch.setattr(offload, "_CONNECTIONS", Path(os.devnull))


def test_a_bridge_with_an_offloaded_port_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, nft=FW4)
    with pytest.raises(Unsupported, match=r"br-lan: hardware forwards.*flowtable ft has flags offload on lan1, lan2"):
        offload.refuse_hidden("br-lan")


def test_other_devices_of_a_flow_table_leave_doubt_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, nft=FW4)
    assert [sign.text for sign in offload.refuse_hidden("eth9")] == ["flowtable ft offloads other devices"]


def test_software_offload_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, nft=FW4.replace("flags offload;", ""), ethtool=FEATURES)
    assert [sign.text for sign in offload.refuse_hidden("br-lan")] == ["hw-tc-offload is on: br-lan, lan1"]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"tc": FILTERS}, "1 ingress filters of eth9 are executed by hardware"),
        ({"modules": MODULES}, "module mtkhnat is loaded: MediaTek's hardware NAT"),
    ],
)
def test_other_signs_are_refused(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], reason: str) -> None:
    answering(monkeypatch, **answers)
    with pytest.raises(Unsupported, match=reason.replace("(", r"\(")):
        offload.refuse_hidden("eth9")


def test_marked_connections_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answering(monkeypatch)
    (tmp_path / "nf_conntrack").write_text(CONNECTIONS)
    monkeypatch.setattr(offload, "_CONNECTIONS", tmp_path / "nf_conntrack")
    with pytest.raises(Unsupported, match=r"1 connections are marked \[HW_OFFLOAD\]"):
        offload.refuse_hidden("eth9")


def test_this_machine_is_looked_at() -> None:
    assert all(isinstance(sign.text, str) for sign in offload.find_signs("lo"))
