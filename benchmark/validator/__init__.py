"""Protocol validity of a trace, judged from the RFCs; only byte offsets are shared with the compiler."""

from benchmark.validator.check import check, first_violation
from benchmark.validator.findings import RULES, Findings, Rule

__all__ = ["RULES", "Findings", "Rule", "check", "first_violation"]
