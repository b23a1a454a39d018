"""The token is read from an argument, the environment or the keyring, and never from a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leadlog.core import settings
from leadlog.core.errors import SettingsError, SyncError
from leadlog.leads.airtable.credentials import KEYRING, find_api_key


class Keyring:
    """A keyring with one password, or a locked one."""

    def __init__(self, password: str | None, error: Exception | None = None) -> None:
        self.password = password
        self.error = error

    def get_password(self, service: str, user: str) -> str | None:
        assert (service, user) == KEYRING
        if self.error is not None:
            raise self.error
        return self.password


def test_the_strongest_origin_wins():
    """An argument wins over the environment, which wins over the keyring."""
    ring = Keyring("of the ring")
    assert find_api_key("given", {"AIRTABLE_API_KEY": "env"}, ring) == "given"
    assert find_api_key(None, {"AIRTABLE_API_KEY": "env"}, ring) == "env"
    assert find_api_key("", {}, ring) == "of the ring"


@pytest.mark.parametrize("ring", [Keyring(None), Keyring(None, RuntimeError("locked"))])
def test_none_at_all_is_told(ring):
    """A keyring that cannot be opened counts as empty; the error has the remedy."""
    with pytest.raises(SyncError, match="set AIRTABLE_API_KEY"):
        find_api_key(None, {}, ring)


def test_a_token_in_a_file_is_refused():
    """A token in a settings file is refused, and the error does not repeat it."""
    Path("leadlog.toml").write_text('[airtable]\napi_key = "patSecret"\n')
    with pytest.raises(SettingsError, match="does not belong into a file") as caught:
        settings.load()
    assert "patSecret" not in str(caught.value)


def test_settings_of_the_sync_may_stand_in_a_table(monkeypatch):
    """Settings may be in the table `[airtable]` of the file or in `LEADLOG_AIRTABLE_…`."""
    Path("leadlog.toml").write_text(
        '[airtable]\nbase_id = "app1"\nmax_delete_share = 0.5\n'
        '[airtable.fields]\nemail = "Mail"\nphone = false\n'
    )
    monkeypatch.setenv("LEADLOG_AIRTABLE_TABLE", "People")
    monkeypatch.setenv("LEADLOG_AIRTABLE_API_KEY", "patSecret")
    found = settings.load().settings
    assert (found.airtable_base_id, found.airtable_table) == ("app1", "People")
    assert found.airtable_fields == {"email": "Mail", "phone": False}
    assert found.airtable_max_delete_share == 0.5
    assert "patSecret" not in repr(found)
    shown = {row.name: row.value for row in settings.describe(settings.load())}
    assert "patSecret" not in shown["airtable_api_key"]
    assert os.environ["LEADLOG_AIRTABLE_API_KEY"] == find_api_key(found.airtable_api_key)


def test_an_unknown_setting_of_the_sync_is_told():
    """An unknown setting of the sync is refused, with the closest name."""
    Path("leadlog.toml").write_text('[airtable]\nbase = "app1"\n')
    with pytest.raises(SettingsError, match="airtable_base"):
        settings.load()
    Path("leadlog.toml").write_text("airtable = 7\n")
    with pytest.raises(SettingsError, match="write it as a table"):
        settings.load()
