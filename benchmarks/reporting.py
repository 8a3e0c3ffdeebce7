"""How a comparison is shown: a table in Markdown and a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REFERENCE = "sdk"
LOOKS = {
    "ours": ("o", "tab:red"),
    "vcr": ("s", "tab:blue"),
    "cassetter": ("D", "tab:orange"),
    "llm_cassette": ("^", "tab:green"),
    "respx": ("v", "tab:olive"),
    "create_level": ("P", "tab:purple"),
}


class Cell(NamedTuple):
    """What one contender did in one scene.

    Attributes:
        scene: by name.
        contender: by name.
        value: microseconds, or bytes where the scene is about memory; `None` if it was not done.
        reason: why it was not.
        note: what else is to be said.
    """

    scene: str
    contender: str
    value: float | None
    reason: str
    note: str = ""


def as_table(cells: list[Cell], titles: Mapping[str, str], contenders: Mapping[str, Any]) -> str:
    """Return a Markdown table, a row a contender's scene, and below it why what is missing is missing."""
    found = {(cell.scene, cell.contender): cell for cell in cells}
    reasons: dict[str, int] = {}
    lines = ["| | " + " | ".join(contender.name for contender in contenders.values()) + " |"]
    lines.append("|---|" + "---|" * len(contenders))
    measured = {cell.scene for cell in cells}
    for scene, title in titles.items():
        if scene not in measured:
            continue
        unit = found[scene, REFERENCE].value
        texts = [_text(found[scene, name], unit, reasons) for name in contenders]
        lines.append(f"| {title} | " + " | ".join(texts) + " |")
    lines += ["", *(f"{number}. {reason}" for reason, number in reasons.items())]
    notes = [f"- {contender.name}: {contender.note}." for contender in contenders.values()]
    return "\n".join([*lines, "", *notes])


def _text(cell: Cell, unit: float | None, reasons: dict[str, int]) -> str:
    if cell.value is None:
        return f"- ({reasons.setdefault(cell.reason, len(reasons) + 1)})"
    if cell.scene.startswith("memory"):
        return f"{cell.value / 2**20:,.1f} MiB"
    value = duration(cell.value)
    if cell.contender == REFERENCE or unit is None:
        return f"{value}; {cell.note}" if cell.note else value
    return f"{value} ({times(cell.value / unit)})"


def duration(micros: float) -> str:
    """Write microseconds in the unit that suits them."""
    for factor, unit in ((1e6, "s"), (1e3, "ms")):
        if micros >= factor:
            return f"{micros / factor:,.{0 if micros >= 100 * factor else 1}f} {unit}"
    return f"{micros:,.0f} µs"


def times(ratio: float) -> str:
    """Write a ratio of times in words: `12 x faster`, `1.4 x slower`, `equal`."""
    factor, word = (1 / ratio, "faster") if ratio < 1 else (ratio, "slower")
    number = f"{factor:.{0 if factor >= 10 else 1}f}"
    return "equal" if number == "1.0" else f"{number} x {word}"


def draw(file: Path, cells: list[Cell], titles: Mapping[str, str], contenders: Mapping[str, Any]) -> None:
    """Draw what is measured as a multiple of the SDK over an in-memory transport, on a logarithmic axis."""
    import matplotlib as mpl  # noqa: PLC0415 - only a plot needs it

    mpl.use("svg" if file.suffix == ".svg" else "agg")
    mpl.rcParams["svg.hashsalt"] = "inferencereplay"  # the same picture, the same bytes
    from matplotlib import pyplot  # noqa: PLC0415 - as above

    units = {cell.scene: cell.value for cell in cells if cell.contender == REFERENCE}
    titles = {scene: title for scene, title in titles.items() if scene in units}
    figure, axes = pyplot.subplots(figsize=(8.5, 1.4 + 0.35 * len(titles)), layout="constrained")
    rows = {scene: len(titles) - number for number, scene in enumerate(titles)}
    for name, contender in contenders.items():
        own = [cell for cell in cells if cell.contender == name and cell.scene in rows and cell.value is not None]
        if name == REFERENCE:
            axes.axvline(1, color="0.6", zorder=0, label=contender.name)
            continue
        marker, color = LOOKS[name]
        axes.plot(
            [(cell.value or 0) / (units[cell.scene] or 1) for cell in own],
            [rows[cell.scene] for cell in own],
            marker,
            label=contender.name,
            markersize=10 if name == "ours" else 6,
            color=color,
            alpha=0.9,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda ratio, _: times(ratio))
    axes.set_yticks(list(rows.values()), [title.replace("`", "") for title in titles.values()])
    axes.set_xlabel("time beside the SDK's over an in-memory transport")
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
