"""Imports point down only, and nothing heavy stands in the way of --help."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "audiorec_cli"
DOMAIN = ("audio", "listening", "convnet", "retrieval", "evaluation", "output", "demo")
BASE = {"errors", "records", "workers", "mel_scale", "names", "__init__"}
# What each part may import from the package, besides itself.
MAY_IMPORT = {
    "errors": set(),
    "mel_scale": set(),
    "names": set(),
    "__init__": set(),
    "console": {"errors"},
    "workers": {"errors"},
    "records": {"errors"},
    "matching": BASE,
    "files": BASE,
    "options": {"console", "files", *BASE},
    **dict.fromkeys(DOMAIN, BASE),
    "commands": {"files", "matching", "console", "options", *DOMAIN, *BASE},
    "cli": {"commands", "console", *BASE},
    "__main__": {"cli", "errors"},
}
HEAVY = ("torch", "librosa", "implicit", "sklearn", "matplotlib", "polars", "scipy", "av", "numba",
         "bokeh", "openTSNE", "onnx", "onnxruntime", "onnxscript", "safetensors",
         "voyager")  # fmt: skip


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_parts(path):
    for name in imported_names(path):
        parts = name.split(".")
        if parts[0] == "audiorec_cli":
            yield (
                parts[1]
                if (PACKAGE / parts[1]).exists() or (PACKAGE / f"{parts[1]}.py").exists()
                else "__init__"
            )


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.name))
def test_imports_point_down_only(path):
    part = part_of(path)
    assert set(imported_parts(path)) - {part} <= MAY_IMPORT[part]


def test_only_files_imports_h5py():
    importers = {
        part_of(path)
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "h5py" for name in imported_names(path))
    }
    assert importers == {"files"}


def modules_loaded_by(code, folder):
    script = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy(tmp_path):
    loaded = modules_loaded_by("from audiorec_cli.cli import main\nmain(['--help'])", tmp_path)
    assert loaded.isdisjoint({*HEAVY, "h5py"})


def test_similar_starts_without_torch_librosa_or_sklearn(tmp_path, predictions_file):
    predictions_file(tmp_path / "predictions.h5")
    loaded = modules_loaded_by(
        "from audiorec_cli.cli import main\nassert main(['similar', 'title 1']) == 0", tmp_path
    )
    assert "rapidfuzz" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_mels_hands_out_files_without_scipy(tmp_path, write_tone):
    write_tone(tmp_path / "audio/tone.wav", 4.0)
    code = "if __name__ == '__main__':\n    from audiorec_cli.cli import main\n"
    loaded = modules_loaded_by(f"{code}    assert main(['mels', 'audio', 'out.h5']) == 0", tmp_path)
    assert "h5py" in loaded
    assert "scipy" not in loaded
