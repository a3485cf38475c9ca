"""What Kubernetes says -> plain words: PLAIN is all that is known of its reasons.

Text in, text out; words.py finds the reason of a pod and the values that the words name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# By a file: what stands on a command line is read by others, and kept.
_KEYS = "--from-env-file=FILE (AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=…, a line each)"
_PULL = "ErrImagePull|ImagePullBackOff"
_CREATE = "CreateContainerConfigError|CreateContainerError|FailedMount"
_START = "StartError|RunContainerError|ContainerCannotRun|CreateContainerError"

# (reason, pattern of the message, words): the first row that fits is taken, and the row that
# stands higher is the more important one. {names} are groups of the pattern or from `values`.
PLAIN = (
    # Nothing but another submit will help.
    ("exit code 2", "", "the command line is wrong ({reason})"),
    ("exit code 64", "", "something that was named is not there ({reason})"),
    ("exit code 78", "", "the pod lacks something ({reason})"),
    ("InvalidImageName", r"(?P<tail>[^:]+)$", "{image} is no name of an image: {tail}"),
    (_CREATE, r'secret "(?P<name>[^"]+)" not found', "no secret {name}: kubectl create secret "
     "generic {name} -n {namespace} " + _KEYS),
    (_CREATE, r"find key (?P<key>\S+) in Secret [^/]*/(?P<name>\S+)",
     "secret {name} of namespace {namespace} has no key {key}: create it anew with that key"),
    (_CREATE, r'configmap "(?P<name>[^"]+)" not found',
     "no config map {name} in namespace {namespace}: create it"),
    (_CREATE, r"image will run as root|non-numeric user",
     "image {image} wants to run as root, which is not allowed: give it a numeric USER"),
    (_START, r'exec: "(?P<name>[^"]+)".*(not found|no such file)',
     "image {image} has no program {name}: is it the image of this stage?"),
    (_START, r'exec: "(?P<name>[^"]+)".*permission denied',
     "image {image} may not run its program {name}: permission denied"),
    ("FailedCreate", r"violates PodSecurity \"(?P<level>\w+)[^\"]*\": (?P<rules>.*)",
     "Pod Security {level} of namespace {namespace} refuses the pods: {rules}"),
    ("FailedCreate", r"maximum (?P<resource>\S+) usage per \w+ is (?P<most>\w+), but \w+ is "
     r"(?P<asked>\w+)", "namespace {namespace} allows a pod {most} of {resource} at most, {asked} "
     "wanted: set {option} {most}"),
    ("FailedCreate", r"minimum (?P<resource>\S+) usage per \w+ is (?P<least>\w+), but \w+ is "
     r"(?P<asked>\w+)", "namespace {namespace} wants {least} of {resource} at least, {asked} "
     "given: set {option} {least}"),
    ("FailedCreate", r"failed quota: (?P<name>[^:]+): must specify (?P<what>\S+)",
     "quota {name} of namespace {namespace} wants every pod to say its {what}"),
    ("FailedCreate", r'webhook "(?P<name>[^"]+)" denied the request: (?P<tail>.*)',
     "admission webhook {name} refuses the pods: {tail}"),
    ("FailedCreate", r"Policy '(?P<name>[^']+)'.* denied request: (?P<tail>.*)",
     "policy {name} of the cluster refuses the pods: {tail}"),
    ("FailedCreate", r'failed calling webhook "(?P<name>[^"]+)":.*: (?P<tail>.*)',
     "admission webhook {name} does not answer ({tail}): tell who runs the cluster"),
    ("FailedCreate", r'serviceaccount "(?P<name>[^"]+)" not found', "no service account {name}: "
     "kubectl create serviceaccount {name} -n {namespace}, or apply k8s/base"),
    ("FailedCreate", r"no PriorityClass with name (?P<name>\S+)",
     "no priority class {name}: apply k8s/base, or name another in the profile: priority_class"),
    # It waits, and someone must do something.
    (_PULL, r"pull access denied", "image {image} does not exist, or is not for all: push it, or "
     "give service account {account} of namespace {namespace} an imagePullSecret"),
    (_PULL, r"[Ff]orbidden|denied|[Aa]uthoriz", "no access to image {image}: give "
     "service account {account} of namespace {namespace} an imagePullSecret"),
    (_PULL, r"[Nn]ot ?[Ff]ound|manifest unknown|does not exist",
     "image {image} is not in its registry: push it, or choose another registry or tag"),
    (_PULL, r"no such host", "the registry of image {image} has no address: is its name right?"),
    (_PULL, "toomanyrequests|429 Too Many",
     "the registry lets image {image} be pulled no more for now"),
    (_PULL, r"(?P<tail>[^:]+)$", "image {image} cannot be pulled: {tail}"),
    ("ErrImageNeverPull", "", "image {image} is not on node {node}, and may not be pulled"),
    ("Unschedulable", r'persistentvolumeclaim "(?P<name>[^"]+)" not found',
     "no volume claim {name} in namespace {namespace}: create it"),
    ("Unschedulable", "unbound immediate PersistentVolumeClaims",
     "a volume claim of the pod has no volume: kubectl get pvc -n {namespace}"),
    ("FailedCreate", r"exceeded quota: (?P<name>[^,]+), requested: (?P<asked>.*), used: "
     r"(?P<used>.*), limited: (?P<most>.*)", "quota {name} of namespace {namespace} is full until "
     "other pods end: wanted {asked}, used {used}, allowed {most}"),
    ("FailedCreate", r"(?P<tail>.*)", "the pods are refused: {tail}"),
    ("Insufficient", r"(?P<resource>.*) anywhere",
     "no node has {wanted}: ask for less with {option}, or add such a node"),
    ("Insufficient", r"(?P<resource>.*)", "waits for {wanted} to be free on one node"),
    ("Nodes", r"(?P<nodes>\d+ of \d+) .*affinity/selector",
     "{nodes} without the label {labels} (--gpu-type, --spot, node selectors)"),
    ("Nodes", r"(?P<nodes>\d+ of \d+) .*untolerated taint(\(s\))?(?P<taint>[^,]*)",
     "{nodes} with a taint{taint} that the pod does not tolerate (not ready, or for others)"),
    ("Nodes", r"(?P<nodes>\d+ of \d+) .*were unschedulable",
     "{nodes} closed to new pods (uncordon)"),
    ("Nodes", r"(?P<nodes>\d+ of \d+) Too many pods", "{nodes} with as many pods as allowed"),
    ("Nodes", "(?P<tail>.*)", "{tail}"),
    ("SchedulingGated", "", "held back by a scheduling gate, of a queue perhaps"),
    ("NodeLost|NodeNotReady", "", "node {node} does not answer: a new pod follows when it is back "
     "or taken out (kubectl delete node {node})"),
    # A pod ended, and may be tried again.
    ("OOMKilled", "", "out of memory with {limit}: set --memory {more}{less}"),
    ("Evicted", r'volume "shm" exceeds the limit "(?P<limit>\w+)"',
     "filled /dev/shm ({limit}): use fewer workers"),
    ("Evicted", r'(limit|limit of containers) "?(?P<limit>[\d.]+\w*)',
     "filled its disk of {limit}: set --disk {more}"),
    ("Evicted", r"low on resource: memory",
     "evicted, for node {node} ran out of memory: set a higher --memory, to have it reserved"),
    ("Evicted", r"low on resource: (?P<resource>\S+?)\.",
     "evicted, for node {node} ran out of {resource}: set a higher --disk, to have it reserved"),
    ("DeadlineExceeded", "^Pod",
     "ran longer than {pod_timeout}: submit again with a longer --timeout"),
    ("exit code 65", "", "bad input ({reason})"),
    ("exit code 137", "", "killed from outside ({reason})"),
    ("exit code 139", "", "crashed in native code ({reason})"),
    ("exit code 143", "", "told to stop, by SIGTERM ({reason})"),
    (r"exit code \d+", "", "{reason}"),
    ("NeverBegan", "", "deleted before it began"),
    ("OutOf.*|UnexpectedAdmissionError|NodeAffinity", "", "refused by node {node} ({reason})"),
    # Nobody's fault: it costs no retry.
    ("PreemptionByScheduler", "", "made room for pods of higher priority; replaced, no retry lost"),
    ("EvictionByEvictionAPI", "", "evicted from node {node}; replaced, no retry lost"),
    ("DeletionByTaintManager|DeletionByPodGC", "",
     "lost with its node {node}; replaced, no retry lost"),
    ("TerminationByKubelet|Terminated|NodeShutdown", "",
     "ended by node {node} (shutdown, or short of memory); replaced, no retry lost"),
    ("Pulling", "", "pulls image {image}"),
    # The Job itself.
    ("DeadlineExceeded", "", "not done within {timeout}: submit again with a longer --timeout"),
    ("BackoffLimitExceeded", "", "gave up after {failures}"),
    ("MaxFailedIndexesExceeded", "", "gave up: {indexes}, more than {allowed}"),
    ("FailedIndexes", "", "{indexes}"),
    ("PodFailurePolicy", "", "stopped, for a retry would not help"),
    ("", r"^\s*$", "{reason}"),
    ("", r"(?P<tail>.*)", "{reason}: {tail}"),
)  # fmt: skip

# resource -> how one says so much of it, and the option that sets it
_RESOURCES = {
    "nvidia.com/gpu": ("{} GPUs", "--gpus"),
    "cpu": ("{} CPUs", "--cpu"),
    "memory": ("{} of memory", "--memory"),
    "ephemeral-storage": ("{} of disk", "--disk"),
}
_POWERS = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}
_THOUSANDS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class Said:
    """Words, and the row of PLAIN they are of: the lower, the more important."""

    rank: int
    words: str


class _Values(dict[str, str]):
    """What the words may name; what nobody knows is "?"."""

    def __missing__(self, name: str) -> str:
        return "?"


def say(reason: str, message: str, values: Mapping[str, str]) -> Said:
    """The first row of PLAIN that fits, its words filled from the pattern's groups and `values`.

    A resource's name (nvidia.com/gpu) in `values` is how much of it is wanted.
    """
    message = " ".join(message.split())
    if reason == "Unschedulable" and (said := _scheduling(message, values)):
        return said
    for rank, (pattern, text, words) in enumerate(PLAIN):
        found = re.search(text, message)
        if found and (not pattern or re.fullmatch(pattern, reason)):
            groups = {name: group or "" for name, group in found.groupdict().items()}
            if "rules" in groups:  # of Pod Security: each has its explanation in brackets
                groups["rules"] = re.sub(r" \([^)]*\)", "", groups["rules"])
            known = _Values({**values, "reason": reason or "unknown", **groups})
            return Said(rank, words.format_map(_Values({**_derived(known), **known})))
    raise AssertionError("the last row of PLAIN fits all")


def _derived(values: Mapping[str, str]) -> dict[str, str]:
    """What follows from the values: an amount in words, an option, a higher limit."""
    resource = values.get("resource", "")
    noun, option = _RESOURCES.get(resource, ("{} of " + resource, "the profile"))
    amount = values.get(resource) or "more"
    return {
        "wanted": (noun.removesuffix("s") if amount == "1" else noun).format(amount),
        "option": option,
        "more": next_power(values.get("limit", "")),
    }


def _scheduling(message: str, values: Mapping[str, str]) -> Said | None:
    """The scheduler's "0/3 nodes are available: 1 Insufficient memory, 2 node(s) …" in words.

    A node that lacks nothing but room has passed all else, so that the others do not matter.
    "not helpful": not even an empty node has that much (older schedulers never say so).
    """
    _, _, preemption = message.partition("preemption: ")
    head = message.split(". ")[0].removesuffix(".")
    parts = re.findall(r"([0-9]+) (Insufficient [^ ,]+|Too many pods|node\(s\) [^,]+)", head)
    hopeless = "not helpful" in preemption and "No preemption victims" not in preemption
    lacks = [text.split()[1] for _, text in parts if text.startswith("Insufficient")]
    ends = " anywhere" if hopeless else ""
    if lacks:
        said = [say("Insufficient", lack + ends, values) for lack in _ordered(lacks)]
        return Said(said[0].rank, "; ".join(part.words for part in said))
    total = re.search(r"/([0-9]+) ", head)
    of = f" of {total[1]} " if total else " of ? "
    said = [say("Nodes", f"{count}{of}{text}", values) for count, text in parts]
    if not said:
        return None
    return Said(said[0].rank, "no node fits: " + ", ".join(part.words for part in said))


def _ordered(resources: list[str]) -> list[str]:
    known = list(_RESOURCES)
    return sorted(resources, key=lambda name: known.index(name) if name in known else len(known))


def next_power(quantity: str) -> str:
    """The power of two above a quantity of bytes: 3Gi -> 4Gi, 512Mi -> 1Gi; else "more"."""
    found = re.fullmatch(r"([0-9]{1,15})(\.[0-9]{1,9})?(Ki|Mi|Gi|Ti|k|M|G|T|)", quantity)
    if not found:
        return "more"
    unit = found[3]
    scale = 1 << _POWERS[unit] if unit in _POWERS else _THOUSANDS[unit]
    bits = int(float(found[1] + (found[2] or "")) * scale).bit_length()
    name, power = max(
        ((name, power) for name, power in _POWERS.items() if power <= bits),
        key=lambda unit: unit[1],
        default=("", 0),
    )
    return f"{1 << (bits - power)}{name}"
