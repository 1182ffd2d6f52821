"""Protocol validity of a trace, judged from the RFCs alone; shares nothing but byte offsets with the compiler."""

from benchmark.validator.check import check, first_violation
from benchmark.validator.findings import RULES, Findings, Rule

__all__ = ["RULES", "Findings", "Rule", "check", "first_violation"]
