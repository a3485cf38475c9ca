"""torchrun that ends as its first process to fail did: exit codes say what a Job shall do next.

    python -m machineray.gan.launch --nproc-per-node=4 --standalone -- jobs.train --run …

torchrun itself ends with 1 and a page of traceback, whatever happened: bad input (65), a mistake
(2) and SIGTERM (143) would all be tried again alike. It also takes a module's --run for its own.
"""

import logging
import os
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run


def main(words: list[str]) -> int:
    """torchrun's options, "--", a module and its arguments -> the exit code."""
    place = words.index("--")
    module, *arguments = words[place + 1 :]
    settings = parse_args([*words[:place], "-m", module])  # type: ignore[no-untyped-call]
    settings.training_script_args = arguments
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # else a page on that; a job sets its own
    # The processes say themselves what is wrong, in one line; its modules have levels of their own.
    for name in ("torch.distributed", *logging.root.manager.loggerDict):
        if name.startswith("torch.distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        run(settings)  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
