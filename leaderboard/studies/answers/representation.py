"""Which representation?"""

from __future__ import annotations

from leaderboard.board import Board
from leaderboard.studies import conditioning, context, guidance, tokenization
from leaderboard.studies.comparison import verdict
from leaderboard.studies.evidence import Evidence, gather_evidence
from leaderboard.studies.measures import ADHERENCE, C2ST, MEASURES, RUNG, SPEED, TIMING, TOKENS, VALID
from leaderboard.studies.missing import makes
from leaderboard.studies.page import Section
from leaderboard.studies.provenance import reasons, results, setting


def write(board: Board) -> Section:
    """Hold tokenizations against each other, then contexts, schemes of conditioning, and scales of guidance."""
    section = Section("Representation", "Which representation?")
    evidence = gather_evidence(board, tokenization.AXES)
    if len(evidence.entries) < 2:
        section.lacks.append(f"There are no two tokenizations to compare. {makes('tokenization_study')}")
    else:
        section.answer = " ".join(
            verdict(evidence.entries, MEASURES[metric], "tokenization") for metric in tokenization.JUDGED
        )
        metrics = (TOKENS, RUNG, TIMING, C2ST, VALID, SPEED)
        section.blocks.append(results(evidence.entries, metrics, "tokenization"))
        section.blocks += [*reasons(evidence.entries), setting(evidence.arena, evidence.records)]
    _context(gather_evidence(board, context.AXES), section)
    _conditioning(gather_evidence(board, conditioning.AXES), section)
    return section


def _context(evidence: Evidence, section: Section) -> None:
    curves = context.curves_of(evidence)
    if not any(len({length for length, _ in curve}) > 1 for curve in curves.values()):
        section.lacks.append(f"Whether a longer context helps: no two lengths. {makes('context_study')}")
        return
    section.blocks.append("Context. " + context.longer(curves).answer)


def _conditioning(evidence: Evidence, section: Section) -> None:
    entries = [entry for entry in conditioning.ordered(evidence.entries) if not conditioning.changed(entry)]
    if len(entries) < 2:
        section.lacks.append(f"What a generator must be told: no two schemes. {makes('conditioning_study')}")
    else:
        sentences = [verdict(entries, MEASURES[metric], "scheme") for metric in (RUNG, ADHERENCE)]
        section.blocks.append("Conditioning. " + " ".join(sentences))
    curves = guidance.curves_of(evidence)
    if not curves:
        section.lacks.append(f"Whether going beyond what was told helps: no two scales. {makes('guidance_study')}")
        return
    section.blocks.append("Guidance. " + guidance.beyond(curves).answer)
