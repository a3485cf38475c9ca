"""Who asks which cluster: what a kubeconfig, or a pod's service account, says.

The official client reads it: contexts, tokens, certificates, login programs.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import InsecureRequestWarning

from machineray.errors import ConfigurationError, MachineRayError
from machineray.kube.official import Official, official_client

if TYPE_CHECKING:
    import urllib3

DEFAULT_NAMESPACE = "machineray"
IN_POD = "in-cluster"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_POOL_SIZE = 40  # followed logs keep a connection each


@dataclass
class Access:
    """A way to a server, as somebody, with a namespace that is meant when none is named."""

    context: str
    user: str
    namespace: str
    server: str
    pool: "urllib3.PoolManager"
    configuration: Any
    _lock: Lock

    def authorization(self) -> str | None:
        """The header that says who asks; renewed when it has expired. None with certificates."""
        with self._lock, _login_programs(self.context, self.user):
            setting = self.configuration.auth_settings().get("BearerToken")
        return str(setting["value"]).strip() if setting and setting["value"] else None


def load_access(context: str | None, namespace: str | None) -> Access:
    """Read the kubeconfig's context, or in a pod its service account; no server is asked.

    Raises ConfigurationError: no kubeconfig, an unknown context, a login program that fails.
    """
    official = official_client()
    configuration = official.configuration.Configuration()
    configuration.connection_pool_maxsize = _POOL_SIZE
    if in_pod() and context is None:
        names = (IN_POD, "the pod's service account", _pod_namespace())
        _load_account(official, configuration)
    else:
        names = _load_kubeconfig(official, configuration, context)
    if not configuration.verify_ssl:  # the kubeconfig says so; urllib3 would warn at every request
        warnings.filterwarnings("ignore", category=InsecureRequestWarning)
    with _broken_files("the certificates"):
        pool = official.rest.RESTClientObject(configuration).pool_manager
    chosen = namespace or names[2] or DEFAULT_NAMESPACE
    return Access(names[0], names[1], chosen, configuration.host, pool, configuration, Lock())


def in_pod() -> bool:
    """Whether this process runs in a pod and nobody gave it a kubeconfig."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and not os.environ.get("KUBECONFIG")


def _pod_namespace() -> str:
    with contextlib.suppress(OSError):
        return (_ACCOUNT / "namespace").read_text().strip()
    return ""


def _load_account(official: Official, configuration: Any) -> None:
    module = official.incluster_config
    try:
        module.load_incluster_config(client_configuration=configuration)
    except (module.ConfigException, OSError) as error:
        raise ConfigurationError(
            f"this pod has no service account token ({_line(error)}): give it one with "
            "serviceAccountName and automountServiceAccountToken: true, or set KUBECONFIG"
        ) from error


def _load_kubeconfig(
    official: Official, configuration: Any, context: str | None
) -> tuple[str, str, str]:
    """Fill the configuration; the names of context and user, and the context's namespace."""
    paths = os.environ.get("KUBECONFIG") or "~/.kube/config"
    files = [Path(path).expanduser() for path in paths.split(os.pathsep) if path]
    if not any(file.exists() for file in files):
        raise ConfigurationError(
            f"no kubeconfig at {paths}: set KUBECONFIG, or let your cluster's tool write one "
            "(kind export kubeconfig, aws eks update-kubeconfig, "
            "gcloud container clusters get-credentials, az aks get-credentials)"
        )
    module = official.kube_config
    with _broken_files(paths, module.ConfigException):
        merged = module.KubeConfigMerger(paths)
        _check_context(paths, merged.config, context)
        loader = module.KubeConfigLoader(
            merged.config,
            active_context=context,
            config_base_path=None,  # relative paths start at the file that holds them
            config_persister=merged.save_changes,
        )
        chosen = loader.current_context
        user = chosen["context"].get("user") or "none"
        with _login_programs(chosen["name"], user):
            loader.load_and_set(configuration)
    return chosen["name"], user, chosen["context"].get("namespace") or ""


def _check_context(paths: str, config: Any, context: str | None) -> None:
    entries = config.value.get("contexts", ()) if config else ()
    known = [str(entry["name"]) for entry in entries]
    wanted = context or (config.value.get("current-context") if config else None)
    if wanted in known:
        return
    said = f"no context {wanted!r}" if wanted else "no context is chosen"
    listed = ", ".join(sorted(known)) or "none"
    raise ConfigurationError(
        f"{paths}: {said}; known contexts: {listed}; "
        "name one with --context, or with kubectl config use-context"
    )


@contextlib.contextmanager
def _broken_files(paths: str, *more: type[Exception]) -> Iterator[None]:
    """What can go wrong with files that people edit, in one line."""
    import yaml

    broken: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, TypeError)
    broken += (AttributeError, yaml.YAMLError, *more)
    try:
        yield
    except MachineRayError:
        raise
    except broken as error:
        raise ConfigurationError(f"{paths}: cannot be used: {_line(error)}; repair it") from error


class _Heard(logging.Handler):
    """The official client only logs that a login program failed, and goes on without a login."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.module == "kube_config":
            self.messages.append(record.getMessage())


@contextlib.contextmanager
def _login_programs(context: str, user: str) -> Iterator[None]:
    """ConfigurationError when the kubeconfig's login program (exec) is missing or fails."""
    heard = _Heard()
    logging.root.addHandler(heard)
    try:
        yield
    finally:
        logging.root.removeHandler(heard)
    if heard.messages:
        raise ConfigurationError(
            f"context {context}: the login program of user {user} failed: "
            f"{_line(heard.messages[-1])}; install it or log in again, or choose another --context"
        )


def _line(error: object) -> str:
    return " ".join(str(error).split())[:500]
