"""torchrun that ends as its first process to fail did: exit codes say what a Job shall do next.

    python -m machineray.gan.launch --nproc-per-node=4 -m jobs.train --run …

torchrun itself ends with 1 and a page of traceback, whatever happened: bad input (65), a mistake
(2) and SIGTERM (143) would all be tried again alike.
"""

import logging
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run


def main(arguments: list[str]) -> int:
    """torchrun's arguments -> the exit code."""
    # The processes say themselves what is wrong, in one line; see machineray/cli.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    try:
        run(parse_args(arguments))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
