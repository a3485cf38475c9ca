"""The parts of the official client that we use, without its 700 models.

`import kubernetes` costs more than a second; configuration, TLS and logins are a quarter of that.
Its packages import their models in `__init__`, so bare packages stand in while the four modules
load, and are taken away again: a later `import kubernetes` gets the whole client. Works with
35, 36 and 37 (tests/kube/test_connection.py); with another layout, or when kubernetes is imported
already, this is the ordinary import.
"""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Official:
    """The four modules; Any, because no two versions type them alike."""

    configuration: Any
    rest: Any
    kube_config: Any
    incluster_config: Any


@cache
def official_client() -> Official:
    """The modules, loaded once a process."""
    if "kubernetes" not in sys.modules:
        # A layout that nobody knew when this was written may fail in any way: slow then, but right.
        with contextlib.suppress(Exception), _stand_ins():
            return _modules()
    return _modules()


def _modules() -> Official:
    return Official(
        configuration=importlib.import_module("kubernetes.client.configuration"),
        rest=importlib.import_module("kubernetes.client.rest"),
        kube_config=importlib.import_module("kubernetes.config.kube_config"),
        incluster_config=importlib.import_module("kubernetes.config.incluster_config"),
    )


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """Bare packages for kubernetes, kubernetes.client and kubernetes.utils, while it lasts."""
    spec = importlib.util.find_spec("kubernetes")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("kubernetes")
    folder = Path(next(iter(spec.submodule_search_locations)))
    try:
        root = _bare("kubernetes", folder)
        client = _bare("kubernetes.client", folder / "client")
        _bare("kubernetes.utils", folder / "utils")
        vars(root)["client"] = client
        configuration = importlib.import_module("kubernetes.client.configuration")
        vars(client).update(Configuration=configuration.Configuration, ApiClient=_api_client)
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "kubernetes"]:
            del sys.modules[name]


def _bare(name: str, folder: Path) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module
    return module


def _api_client(*arguments: Any, **options: Any) -> Any:
    """The whole client after all: the old OIDC logins of a kubeconfig renew their tokens by it."""
    return importlib.import_module("kubernetes.client").ApiClient(*arguments, **options)
