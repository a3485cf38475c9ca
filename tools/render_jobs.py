"""Write k8s/jobs/*.yaml: one Job a stage, for `kubectl apply -f` without mray.

    python tools/render_jobs.py

They fit the cluster of `make kind-up`: its registry, its bucket, no GPU. A test keeps them fresh.
"""

import sys
from pathlib import Path

import yaml

from jobs import arguments, function_of, parameters
from jobs.pipeline import Request, steps
from machineray import __version__
from machineray.config import Profile
from machineray.kube.manifests import JobSpec, Json, Placement, Resources, job_manifest
from machineray.stages import STAGES

FOLDER = Path(__file__).resolve().parent.parent / "k8s" / "jobs"
RUN, ROOT = "example", "s3://machineray"
PROFILE = Profile(registry="localhost:5001", namespace="machineray", gpus=0)
HEAD = "# Made by tools/render_jobs.py; apply one when the stage before it is complete.\n"


def main() -> None:
    """Write every file, and remove what is no stage's."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    texts = rendered()
    for path in FOLDER.glob("*.yaml"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)
    sys.stdout.write(f"{len(texts)} files in {FOLDER}\n")


def rendered() -> dict[str, str]:
    """File name -> text."""
    return {
        f"{manifest['metadata']['labels']['machineray/stage']}.yaml": HEAD
        + yaml.safe_dump(manifest, sort_keys=False, width=100)
        for manifest in manifests()
    }


def manifests() -> list[Json]:
    """One Job a stage: the tiny pipeline on the examples."""
    wanted = {step.stage: step for step in steps(Request(preset="tiny", title="Tiny"))}
    jobs = []
    for stage in STAGES:
        function, step = function_of(stage.name), wanted[stage.name]
        defaults = {parameter.name: parameter.default for parameter in parameters(function)}
        given = {"run": RUN, "root": ROOT, "input": step.input, "workers": 1}  # of half a core
        options = {**defaults, **step.options, **given}
        image = PROFILE.container_image(stage.name)
        spec = JobSpec(
            name=f"mray-{RUN}-{stage.name}",
            namespace=str(PROFILE.namespace),
            run=RUN,
            stage=stage.name,
            container_image=image,
            args=arguments(function, options),
            env={"MRAY_CONTAINER_IMAGE": image},
            resources=Resources("500m", stage.pod.memory, stage.pod.disk),
            placement=Placement(priority_class=stage.pod.priority_class),
            retries=stage.pod.retries,
            grace_seconds=stage.pod.grace_seconds,
            annotations={"machineray/root": ROOT, "machineray/version": __version__},
        )
        jobs.append(job_manifest(spec))
    return jobs


if __name__ == "__main__":
    main()
