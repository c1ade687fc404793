"""Docs, configuration files, docstrings, comments and messages do not use literary or unclear phrases."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("perception_nodes", "models", "training", "launch", "config", "docs", "benchmarks")
ENDINGS = {".py", ".md", ".yaml", ".c", ".h", ".xml"}
RENAMED = {Path("training/common/command.py"): "--speak"}  # refuses the old option and names the new one

# phrase (regular expression) -> what to write instead
BANNED = {
    r"that is none\b": "malformed, invalid, missing",
    r"\bnobody's\b": "not valid for any, of no",
    r"\bwhat (a|the) stamps? (told|said)": "duplicate, late and jumping stamps",
    r"a past with": "frames were skipped",
    r"\bripe\b": "complete, due",
    r"\bfaint\b": "with a low score",
    r"--speak\b": "--report-every",
    r"least[_ ]score\b": "min_score, minimum score",
    r"\bDEALS\b": "SITUATIONS",
    r"\bfaults? [0-9]+\b": "name the fault: the numbers are of a list that is not in the repository",
    r"\bof its own accord\b": "automatically, at the start",
    r"\bthereof\b": "of it",
    r"\bin vain\b": "without a result, without an image",
    r"\bfor ever\b": "without limit, always, never reset",
    r"\b(every|any)body\b": "all road users, any node, a subscriber",
    r"\bthe node lives on\b": "the node continues",
    r"\bwhat came of it\b": "results",
    r"\bat its word\b": "is assumed to be right",
}


def sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in ENDINGS]
    return sorted(path for path in found if "weights" not in path.relative_to(ROOT).parts) + [ROOT / "bags/README.md"]


def offences(text: str) -> list[str]:
    """The banned phrases of a text, each with its line and what to write; a phrase may be broken over two lines."""
    joined = re.sub(r"\n(?:[ \t]*(?:#|\*|//)?[ \t]*)", lambda found: " " * len(found[0]), text)
    joined = re.sub(r" (?= )", "\0", joined)  # runs of spaces count as one, and places stay
    found = []
    for phrase, instead in BANNED.items():
        for match in re.finditer(phrase.replace(" ", "\0* "), joined, 0 if "DEALS" in phrase else re.IGNORECASE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"line {line}: {match[0].replace(chr(0), '')!r}; write: {instead}")
    return found


def test_docs_and_sources_use_plain_words():
    found = []
    for path in sources():
        name = path.relative_to(ROOT)
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{name}, {x}" for x in offences(text) if not (name in RENAMED and RENAMED[name] in x)]
    assert found == [], "phrases that a newcomer does not understand"


@pytest.mark.parametrize(
    "text", ["A message that is none costs a frame.", "a past\nwith a hole", "# waits in\n    # vain", "see fault 12"]
)
def test_banned_phrases_are_found_also_over_two_lines(text):
    assert len(offences(text)) == 1


@pytest.mark.parametrize("text", ["one for every sweep", "faults are counted; 12 of them", "The default is 3."])
def test_plain_sentences_are_not_refused(text):
    assert offences(text) == []
