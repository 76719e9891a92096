"""Plugins of installed packages bring their tables: found by their entry points, without being imported."""

import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from rainbow_xmpp.plugin.discovery import PluginError, find_plugins
from rainbow_xmpp.store import Store, upgrade
from rainbow_xmpp.store.announced import announced_migrations
from rainbow_xmpp.store.errors import StoreError

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{name}_0001", None


def upgrade():
    op.create_table("{name}", sa.Column("id", sa.Integer(), primary_key=True))
"""
PLUGIN = """
from rainbow_xmpp.plugin import Plugin


class {title}(Plugin, name="{name}"):
    '''Comes in a package.'''
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder that packages are installed into; what is imported from there is forgotten again."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield tmp_path / "site"
    for name in set(sys.modules) - before:
        if name.partition(".")[0].startswith("acme_"):
            del sys.modules[name]


def install(site: Path, module: str, *, name: str, beside: str = "", code: str = "raise ImportError") -> Path:
    """A package as pip leaves it: `module` is announced, `beside` is the package that has the migrations."""
    folder = site.joinpath(*(beside or module).split("."))
    (folder / "migrations").mkdir(parents=True)
    (folder / "migrations" / f"{name}_0001.py").write_text(MIGRATION.format(name=name))
    top = site / module.partition(".")[0]
    (top / "__init__.py").write_text(code)
    told = site / f"{name}-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(f"[rainbow_xmpp.plugins]\n{name} = {module}\n")
    return folder / "migrations"


@pytest.mark.parametrize(
    ("module", "beside"),
    [
        ("acme_nudge", "acme_nudge"),
        ("acme_nudge.plugin", "acme_nudge"),
        ("acme_suite.nudge", "acme_suite.nudge"),
        ("acme_suite.nudge.plugin", "acme_suite.nudge"),
    ],
)
async def test_the_tables_of_an_announced_plugin_are_made_without_importing_it(
    site: Path, empty_database_url: str, module: str, beside: str
):
    folder = install(site, module, name="acme_nudge", beside=beside)
    assert folder in list(announced_migrations())
    assert "acme_nudge_0001" in (await upgrade(empty_database_url)).current
    store = await Store.open(empty_database_url)
    async with store.read() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM acme_nudge"))).scalar_one() == 0
    await store.close()
    assert module.partition(".")[0] not in sys.modules


async def test_a_database_without_the_tables_of_an_announced_plugin_is_out_of_date(
    site: Path, database_url: str
):
    install(site, "acme_late", name="acme_late")
    with pytest.raises(StoreError, match="the database lacks acme_late_0001"):
        await Store.open(database_url)


def test_what_has_no_folder_of_migrations_or_is_not_there_at_all_is_passed_over(site: Path):
    folder = install(site, "acme_none", name="acme_none")
    (folder / "acme_none_0001.py").unlink()
    folder.rmdir()
    (site / "acme_single.py").write_text("")
    for name, module in (("acme_gone", "acme_gone.plugin"), ("acme_single", "acme_single")):
        told = site / f"{name}-1.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (told / "entry_points.txt").write_text(f"[rainbow_xmpp.plugins]\n{name} = {module}\n")
    assert not [folder for folder in announced_migrations() if site in folder.parents]


async def test_two_plugins_whose_migrations_would_be_taken_for_each_others_are_named(
    site: Path, tmp_path: Path, empty_database_url: str
):
    announced = install(site, "acme_twice", name="acme_twice")
    other = tmp_path / "plugins" / "acme_twice" / "migrations"
    other.mkdir(parents=True)
    with pytest.raises(StoreError, match="two plugins have migrations as acme_twice: ") as refused:
        await upgrade(empty_database_url, [tmp_path / "plugins"])
    assert str(other) in str(refused.value) and str(announced) in str(refused.value)
    # The same folder found in two ways is one.
    await upgrade(empty_database_url, [announced.parent])


def test_an_announced_plugin_is_found_and_one_that_cannot_be_loaded_is_named(site: Path):
    install(site, "acme_nudge", name="acme_nudge", code=PLUGIN.format(title="Nudge", name="acme_nudge"))
    assert find_plugins()["acme_nudge"].__module__ == "acme_nudge"
    install(site, "acme_broken", name="acme_broken")
    with pytest.raises(PluginError, match=r"plugin acme_broken cannot be loaded: ImportError"):
        find_plugins()
