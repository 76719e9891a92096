"""`plugin list`, `stages`, `xeps` and `new`: what plugins there are, what they do in which order, and a new one."""

from collections.abc import Iterator
from keyword import iskeyword
from pathlib import Path

import click

import rainbow_xmpp
from rainbow_xmpp.cli.console import Failed, Row, json_option, on_terminal, print_json, print_rows
from rainbow_xmpp.cli.context import Invocation, pass_invocation

_STAGES = ("admit", "gate", "rewrite", "record", "place", "deliver", "observe")


@click.group()
def plugin() -> None:
    """Plugins: which there are, in which order they are asked, and a new one."""


@plugin.command("list")
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    """List every plugin that is found, whether it runs, and what it does."""
    from rainbow_xmpp.plugin.overview import source_of, stages_of, surfaces_of
    from rainbow_xmpp.plugin.select import configured_plugins

    rows: list[Row] = [
        {
            "name": cls.name,
            "source": source_of(cls),
            "runs": options.enabled,
            "companies": list(options.companies) if options.companies or as_json else "all",
            "implements": sorted(cls.implements),
            "stages": [stage.value for stage in stages_of(cls)],
            "also": surfaces_of(cls),
        }
        for cls, options in configured_plugins(invocation.config_to_look_at()).items()
    ]
    columns = ["name", "source", "runs", "companies", "implements", "stages", "also"]
    if not as_json and all(row["companies"] == "all" for row in rows):
        columns.remove("companies")
    print_rows(rows, columns, as_json=as_json, unbroken=("name",))


@plugin.command()
@json_option
@pass_invocation
def stages(invocation: Invocation, as_json: bool) -> None:
    """Show which plugins each stage of a stanza's way asks, in their order, and what a failure means there."""
    from rainbow_xmpp.plugin import overview
    from rainbow_xmpp.plugin.select import select_plugins
    from rainbow_xmpp.router.stages import FAILURE

    asked = overview.stages(select_plugins(invocation.config_to_look_at()))
    if as_json:
        print_json(
            [
                {
                    "stage": stage.value,
                    "plugins": [{"name": place.plugin, "may_fail": place.may_fail} for place in places],
                    "failure": FAILURE[stage],
                }
                for stage, places in asked.items()
            ]
        )
        return
    rows: list[Row] = [
        {
            "stage": stage.value,
            "asks, in this order": [
                f"{place.plugin} (may fail)" if place.may_fail else place.plugin for place in places
            ],
            "when a plugin fails": FAILURE[stage],
        }
        for stage, places in asked.items()
    ]
    print_rows(rows, ("stage", "asks, in this order", "when a plugin fails"), as_json=False)
    if on_terminal():
        click.echo(
            "After admit the recipient is looked up; before deliver the stanza is handed to its receivers."
        )


@plugin.command()
@click.option("--markdown", is_flag=True, help="Print the page docs/xeps.md.")
@json_option
def xeps(markdown: bool, as_json: bool) -> None:
    """List the specifications that the server and its plugins follow."""
    from rainbow_xmpp.plugin.discovery import find_plugins
    from rainbow_xmpp.specifications import followed, page

    found = followed(find_plugins().values())
    if markdown:
        click.echo(page(found), nl=False)
        return
    rows: list[Row] = [
        {
            "number": each.number,
            "title": each.title,
            "version": each.version,
            "status": each.status,
            "by": each.owner,
        }
        for each in found
    ]
    print_rows(
        rows, ("number", "title", "version", "status", "by"), as_json=as_json, unbroken=("number", "by")
    )


@plugin.command()
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="my-plugins",
    show_default=True,
    metavar="DIR",
    help="The folder of plugins it is written into.",
)
@click.option("--table", "with_table", is_flag=True, help="With a table of its own and its migration.")
@click.option(
    "--stage",
    "stages_",
    type=click.Choice(_STAGES),
    multiple=True,
    help="With a handler in this stage; may be given several times.",
)
@pass_invocation
def new(invocation: Invocation, name: str, folder: Path, with_table: bool, stages_: tuple[str, ...]) -> None:
    """Write a new plugin that works as written, with a README and a test."""
    from rainbow_xmpp.cli.plugin_new import Wish, files_of
    from rainbow_xmpp.plugin.discovery import find_plugins

    if not name.isidentifier() or not name.islower() or iskeyword(name):
        raise Failed(f'"{name}" cannot be a plugin\'s name: use lower-case letters, digits and _')
    if name in find_plugins():
        raise Failed(f"there is a plugin called {name} already")
    target = folder / name
    if target.exists():
        raise Failed(f"{target} exists already")
    sources = Path(rainbow_xmpp.__file__).parents[1]
    files = files_of(Wish(name, with_table, stages_, is_beside_us=sources in target.resolve().parents))
    for path, text in files.items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    for line in _next_steps(invocation, folder, name, list(files), with_table):
        click.echo(line)


def _next_steps(
    invocation: Invocation, folder: Path, name: str, files: list[str], with_table: bool
) -> Iterator[str]:
    command = invocation.command_line()
    yield f"{folder / name}: {', '.join(files)}"
    yield ""
    yield "Next:"
    yield f"  pytest {folder / name}"
    yield f'  write plugin_paths = ["{folder}"] into {invocation.file}, before its first table'
    yield f"  {command} check config"
    if with_table:
        yield f"  {command} db upgrade"
    yield f"  {command} plugin stages"
    yield ""
    yield "How plugins are written: docs/plugin-authors/README.md"
