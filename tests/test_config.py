"""Profiles: two files over each other, and what is wrong in one is told by name."""

from pathlib import Path

import pytest

from machineray.config import SETTINGS_VARIABLE, Profile, load_profile
from machineray.errors import UsageError


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MRAY_PROFILE", SETTINGS_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "mray").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def write(tmp_path: Path, here: str, own: str = "") -> None:
    (tmp_path / "mray.toml").write_text(here)
    (tmp_path / "config" / "mray" / "config.toml").write_text(own)


def test_without_a_file_all_is_the_default() -> None:
    assert load_profile() == Profile()


def test_the_nearer_file_counts_key_by_key(tmp_path: Path) -> None:
    write(
        tmp_path,
        '[profiles.lab]\nroot = "s3://near"\n',
        'profile = "lab"\n[profiles.lab]\nroot = "s3://far"\nregistry = "ghcr.io/lab"\n'
        "[profiles.lab.node_selector]\npool = 'a100'\n",
    )
    profile = load_profile()
    assert (profile.name, profile.root, profile.registry) == ("lab", "s3://near", "ghcr.io/lab")
    assert profile.node_selector == {"pool": "a100"}
    assert profile.container_image("train").startswith("ghcr.io/lab/machineray-train:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profile = 'lab", r"mray\.toml: not TOML"),
        ("[profiles.lab]\ncolour = 1", r"\[profiles\.lab\] colour: unknown; known are .*registry"),
        ("[profiles.lab]\ngpus = 'two'", r"gpus = 'two': a number is wanted"),
        ("[profiles.lab]\ngpus = true", "a number is wanted"),
        ("[profiles.lab]\nroot = 3", "text is wanted"),
        ("[profile.lab]\nroot = 's3://x'", r"profile: a name is wanted; the tables are \[profiles"),
        ("profile = 'nope'", "nope: no such profile; known: none"),
    ],
)
def test_a_mistake_is_told_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, text)
    with pytest.raises(UsageError, match=message):
        load_profile()


def test_a_pod_is_given_the_whole_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = Profile("lab", root="s3://b", images={"train": "r.io/t@sha256:1"}, gpus=0)
    monkeypatch.setenv(SETTINGS_VARIABLE, profile.to_json())
    loaded = load_profile()
    assert loaded.to_json() == profile.to_json()
    assert loaded.container_image("train") == "r.io/t@sha256:1"


def test_an_image_without_a_registry_says_where_to_name_one() -> None:
    with pytest.raises(UsageError, match=r"--registry NAME, or set registry in mray\.toml"):
        Profile().container_image("train")
