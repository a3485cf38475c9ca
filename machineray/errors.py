"""The error tree: what a user can do wrong or meet, each with its exit code.

    MachineRayError
    ├── UsageError          the command line is wrong                    2
    ├── ConfigurationError  the machine lacks something that we need     2 (78 in a pod)
    ├── NotFoundError       no such run, stage, picture or bucket        3
    ├── InputError          a picture, catalog or snapshot is bad        1 (65 in a pod)
    ├── StorageError        a folder or bucket refuses or breaks         1
    ├── ClusterError        Kubernetes refuses, or cannot be reached     1
    │   └── AlreadyExistsError  an object of that name is there          1
    ├── StageError          the stage ended without all of its output    1
    │   └── RefusedError    more items were refused than may be          1 (65 in a pod)
    ├── TemporaryError      nothing is wrong here; it shall be tried again  75
    ├── WaitTimeoutError    it is not done after --timeout               124
    └── Interrupted         Ctrl-C                                       130

Foreign exceptions become one of these where they enter (storage.py, imaging.py, kube/); everything
else is a defect of ours and shows its traceback. Every message says what, where, why and the way
out.
"""


class MachineRayError(Exception):
    """Something a person can act upon; the message is one line."""

    exit_code = 1
    pod_exit_code = 1


class UsageError(MachineRayError):
    """The command line asks for something that makes no sense."""

    exit_code = 2
    pod_exit_code = 2


class ConfigurationError(MachineRayError):
    """The machine lacks a package, a device or a setting."""

    exit_code = 2
    pod_exit_code = 78


class NotFoundError(MachineRayError):
    """No such run, stage, file, folder or bucket."""

    exit_code = 3
    pod_exit_code = 64


class InputError(MachineRayError):
    """A picture, catalog or snapshot cannot be used."""

    exit_code = 1
    pod_exit_code = 65


class StorageError(MachineRayError):
    """A folder or bucket refuses or breaks, also after the retries."""


class ClusterError(MachineRayError):
    """Kubernetes refuses (permission, admission, quota), breaks, or cannot be reached."""


class AlreadyExistsError(ClusterError):
    """An object of that kind and name is in the cluster already."""


class TemporaryError(MachineRayError):
    """A bucket, an API server or another process is away: it may work later (EX_TEMPFAIL)."""

    exit_code = 75
    pod_exit_code = 75


class WaitTimeoutError(MachineRayError):
    """What was waited for is not done yet; it goes on."""

    exit_code = 124


class StageError(MachineRayError):
    """A stage ended, and some of its output is missing or was refused."""


class RefusedError(StageError):
    """More items were refused than --max-failures allows; trying again would not help."""

    pod_exit_code = 65


class Interrupted(MachineRayError):
    """The user pressed Ctrl-C."""

    exit_code = 130
    pod_exit_code = 130
