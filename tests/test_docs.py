"""The documents say what the program does."""

import re
from pathlib import Path

import pytest
import typer
from typer.cli import get_docs_for_click

from audiorec_cli.cli import app
from audiorec_cli.files.schema import SCHEMA

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
# "audiorec" as a name, followed by these words, is no command.
PROSE = {"made", "on", "learns", "is", "are", "and", "has", "said"}
REMAKE = 'typer audiorec_cli.cli utils docs --name audiorec --title "The commands" --output ' \
         "docs/commands.md"  # fmt: skip


def test_the_page_of_commands_is_made_from_the_commands():
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="audiorec", obj={})
    made = get_docs_for_click(obj=command, ctx=context, name="audiorec", title="The commands")
    page = (ROOT / "docs/commands.md").read_text()
    assert page == f"{made.strip()}\n", f"make it again with: {REMAKE}"


def test_the_readme_names_every_command():
    text = (ROOT / "README.md").read_text()
    for name in typer.main.get_command(app).commands:
        assert f"| `audiorec {name}" in text, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_documents_exist_with_their_options(page):
    commands = typer.main.get_command(app).commands
    lines = re.findall(r"audiorec ([a-z][a-z-]+)((?:[ ]+[^`\n|·]+)?)", page.read_text())
    for name, rest in lines:
        if name in PROSE:
            continue
        assert name in commands, name
        parameters = commands[name].params
        known = {opt for p in parameters for opt in (*p.opts, *p.secondary_opts, "--help")}
        unquoted = re.sub(r'"[^"]*"', "", rest.split("#")[0])
        for option in re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", unquoted):
            assert option in known, f"{name} {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("kind", SCHEMA)
def test_the_page_of_the_files_is_complete(kind):
    text = (ROOT / "docs/files.md").read_text()
    section = text.split(f"\n## {kind}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| \(([^)]*)\) \| (\S+) \|", section, re.M)
    assert rows == [
        (name, ", ".join(map(str, field.shape)), field.dtype)
        for name, field in SCHEMA[kind].items()
    ]


def test_tests_that_the_documents_name_are_there():
    written = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", "".join(page.read_text() for page in PAGES))
    assert named
    assert [name for name in named if f"def {name}(" not in written] == []
